//! A health gate that opens a TCP connection.
