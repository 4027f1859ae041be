//! Ports on loopback for the real servers of tests. Tests that run at the same time have their own, all below
//! those that the kernel gives to whoever asks for any port, so that nobody else takes one before its server
//! is up.
#![allow(dead_code, reason = "the tests of each crate use a part")]

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port of the first test …
const FIRST: u32 = 10_000;

/// … and so many for each, of which the last hundred are for ranges that are given out.
const EACH: u32 = 350;

/// So many for [`free_port`].
const SINGLE: u32 = 250;

/// So many tests have ports of their own at the same time.
const TESTS: u32 = 60;

/// The first port of this test: by its place among those that run, where nextest tells it, else by chance.
fn first() -> u32 {
    let place = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok();
    let place = place.and_then(|text| text.parse().ok()).unwrap_or_else(std::process::id);
    FIRST + place % TESTS * EACH
}

/// A port that nobody listens on. What the test before may still be ending is somewhere else.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id().wrapping_mul(131);
    loop {
        let nth = NEXT.fetch_add(7, Ordering::Relaxed);
        let port = u16::try_from(first() + own.wrapping_add(nth) % SINGLE).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A range of so many ports to be given out, as a configuration has it: the next one with each call.
pub fn port_range(count: u32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ranges = (EACH - SINGLE) / count;
    let from = first() + SINGLE + NEXT.fetch_add(1, Ordering::Relaxed) % ranges * count;
    format!("{from}-{}", from + count - 1)
}
