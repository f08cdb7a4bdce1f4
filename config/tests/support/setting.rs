//! A setting as text.

use eyepiece_config::Settings;
use figment::value::Value;

/// The text of a key's value.
pub(crate) fn text(settings: &Settings, key: &str) -> String {
    let settings = Value::serialize(settings).expect("settings");
    match settings.find_ref(key).unwrap_or_else(|| panic!("no {key}")) {
        Value::String(_, text) => text.clone(),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number.to_u128().expect("a whole number").to_string(),
        other => panic!("{key}: {other:?}"),
    }
}
