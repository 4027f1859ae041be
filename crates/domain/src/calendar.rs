//! Calendar values: windows and freezes in local time, and the instants that they allow.
