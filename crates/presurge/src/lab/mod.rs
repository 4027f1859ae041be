//! A small server and a small client, for the tour and for tests on real parts: hidden verbs.

pub mod load;
pub mod server;
