//! Load from Prometheus, or anything that speaks its HTTP API.
