//! The configuration: the whole schema of `Fleet` and `Rollout` documents.
