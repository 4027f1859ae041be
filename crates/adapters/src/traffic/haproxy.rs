//! HAProxy over its runtime API.
