//! Auto-scalers that must not fight a rollout.

pub mod exec;
