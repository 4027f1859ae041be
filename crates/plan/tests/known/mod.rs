//! Plans against a truth that is known: the paths that a plan is made from, and the load that it
//! meets afterwards, come from the same random process. So the stated risk can be checked, at as
//! many rollouts as one likes.

#![allow(dead_code, reason = "the example and the test each use a part of it")]

pub mod cases;
pub mod judge;
pub mod load;
pub mod tally;

pub use crate::fleet::minute;

/// A stream of numbers from a seed (SplitMix64, Steele, Lea and Flood 2014), apart from every draw
/// that a planner makes.
#[derive(Debug, Clone)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed for one purpose.
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mut stream = Self(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ purpose);
        // Neighbouring seeds lie far apart afterwards.
        let start = stream.next();
        Self(start ^ purpose.rotate_left(32))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// An exponential number with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// A number between two others.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// One of some.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.uniform() * of.len() as f64) as usize]
    }
}
