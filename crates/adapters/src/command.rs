//! Outside commands that outlive the process that started them.
