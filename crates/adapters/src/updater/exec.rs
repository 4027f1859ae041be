//! Updates by any command.
