//! The load balancer in front of a fleet.

pub mod embedded;
pub mod fixed;
pub mod haproxy;
#[cfg(test)]
mod testing;
