//! A health gate that runs a command.
