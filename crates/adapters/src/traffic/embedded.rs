//! The embedded proxy.
