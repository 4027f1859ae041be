//! A health gate that asks over HTTP.
