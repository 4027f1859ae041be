//! The contract suites of the ports: what every adapter has to show.
