//! Ports for the real servers of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port on loopback that nobody listens on. It lies below those that the kernel gives to whoever asks for any
/// port, so that nobody else gets it before the server is up; each process begins elsewhere.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id().wrapping_mul(163);
    loop {
        let nth = NEXT.fetch_add(7, Ordering::Relaxed);
        let port = u16::try_from(10_000 + own.wrapping_add(nth) % 22_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
