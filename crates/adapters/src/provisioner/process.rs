//! Surge as local processes.
