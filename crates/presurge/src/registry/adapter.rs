//! One line of a table of adapters.

use std::error::Error;
use std::sync::Arc;

use domain::config::{AdapterRef, Findings, Place};
use domain::ports::PortError;
use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Here;
use crate::documents::read_body;

/// An adapter of the port `P`.
pub struct Adapter<P: ?Sized> {
    /// Its key in the configuration.
    pub name: &'static str,
    /// Checks its configuration.
    pub read: fn(&Value) -> Result<(), Findings>,
    /// The schema of its configuration.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Makes it.
    pub build: fn(&Value, &Here) -> Result<Arc<P>, BadAdapter>,
}

/// An adapter that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BadAdapter {
    /// There is none of that name.
    #[error("there is no adapter {0:?}")]
    Unknown(String),
    /// Its configuration cannot be read.
    #[error("{adapter}: {place}: {message}")]
    Config {
        /// Which adapter.
        adapter: &'static str,
        /// Where in its configuration.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// Its configuration makes no sense.
    #[error(transparent)]
    Refused(#[from] PortError),
}

/// The line of an adapter: its key, its port, its typed configuration, and how it is made.
macro_rules! adapter {
    ($name:literal: $port:ident, $config_type:ty, |$config:ident, $here:pat_param| $build:expr) => {
        $crate::registry::adapter::Adapter::<dyn $port> {
            name: $name,
            read: |value| $crate::documents::read_all::<$config_type>(value).map(|_| ()),
            schema: |generator| generator.subschema_for::<$config_type>(),
            build: |value, here| {
                $crate::registry::adapter::typed(
                    $name,
                    value,
                    here,
                    |$config: $config_type, $here| {
                        Ok(std::sync::Arc::new($build) as std::sync::Arc<dyn $port>)
                    },
                )
            },
        }
    };
}

pub(super) use adapter;

/// Reads a configuration and gives it to its constructor.
pub fn typed<C: DeserializeOwned, P: ?Sized>(
    adapter: &'static str,
    value: &Value,
    here: &Here,
    build: impl Fn(C, &Here) -> Result<Arc<P>, PortError>,
) -> Result<Arc<P>, BadAdapter> {
    let config = read_body::<C>(value).map_err(|explained| BadAdapter::Config {
        adapter,
        place: explained.place,
        message: explained.message,
    })?;
    Ok(build(config, here)?)
}

fn find<'a, P: ?Sized>(table: &'a [Adapter<P>], name: &str) -> Option<&'a Adapter<P>> {
    table.iter().find(|adapter| adapter.name == name)
}

/// Checks the configuration of an adapter of a table.
pub(super) fn check<P: ?Sized>(
    table: &[Adapter<P>],
    entry: &AdapterRef,
    here: &Here,
) -> Result<(), Findings> {
    let Some(adapter) = find(table, &entry.adapter) else { return Ok(()) };
    (adapter.read)(&entry.config)?;
    let mut findings = Findings::default();
    match (adapter.build)(&entry.config, here) {
        Ok(_) => return Ok(()),
        Err(BadAdapter::Refused(error)) => {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let (place, message) = place_of(&entry.config, &reason);
            findings.add(place, message);
        }
        Err(error) => findings.add(Place::root(), error.to_string()),
    }
    Err(findings)
}

/// Constructors say `field: what is wrong`; the field becomes the place.
fn place_of(config: &Value, reason: &str) -> (Place, String) {
    if let Some((field, message)) = reason.split_once(": ")
        && config.get(field).is_some()
    {
        return (Place::root().key(field), message.to_owned());
    }
    (Place::root(), reason.to_owned())
}

/// Makes an adapter of a table.
pub(super) fn build<P: ?Sized>(
    table: &[Adapter<P>],
    entry: &AdapterRef,
    here: &Here,
) -> Result<Arc<P>, BadAdapter> {
    let unknown = || BadAdapter::Unknown(entry.adapter.clone());
    let adapter = find(table, &entry.adapter).ok_or_else(unknown)?;
    (adapter.build)(&entry.config, here)
}
