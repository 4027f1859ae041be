//! What every `provisioner` adapter has to show.
