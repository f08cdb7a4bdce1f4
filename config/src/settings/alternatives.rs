//! Contexts as Hubble writes them, for `#[serde(with)]`: `name|ip`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::choices::Context;

pub(super) fn serialize<S: Serializer>(value: &[Context], serializer: S) -> Result<S::Ok, S::Error> {
    let names: Vec<_> = value.iter().map(|context| context.name()).collect();
    serializer.serialize_str(&names.join("|"))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Context>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.split('|').map(|name| name.parse().map_err(Error::custom)).collect()
}
