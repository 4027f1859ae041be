//! No load balancer: for planning only.
