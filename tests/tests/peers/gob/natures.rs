//! The kind of a value, in the words of tests/peers/harness/nature.go.

use anyhow::{Context, Result, ensure};
use eyepiece_flow::gob::{Value, value};
use serde_json::{Value as Json, json};

/// Compares the Data of an agent or access-log event with what Go decodes it to.
pub(crate) fn compare(data: &[u8], expected: &[u8]) -> Result<()> {
    let (kind, bytes) = data.split_first().context("no type")?;
    ensure!(matches!(kind, 129 | 130), "type {kind}");
    let (value, used) = value(bytes)?;
    ensure!(used == bytes.len(), "{used} of {} bytes", bytes.len());
    let expected: Json = serde_json::from_slice(expected)?;
    let found = nature(&value);
    ensure!(found == expected, "found    {found}\nexpected {expected}");
    Ok(())
}

fn nature(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!({ "bool": value }),
        Value::Int(number) => json!({ "int": number.to_string() }),
        Value::Uint(number) => json!({ "uint": number.to_string() }),
        Value::Text(text) => json!({ "text": text }),
        Value::Bytes(bytes) => json!({ "bytes": hex(bytes) }),
        Value::Binary(bytes) => json!({ "binary": hex(bytes) }),
        Value::List(list) => json!({ "list": list.iter().map(nature).collect::<Vec<_>>() }),
        Value::Map(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_text().map(str::to_owned));
            json!({ "map": pairs.iter().map(|(key, value)| json!([nature(key), nature(value)])).collect::<Vec<_>>() })
        }
        Value::Struct(fields) => {
            let fields: serde_json::Map<_, _> =
                fields.iter().map(|(name, value)| (name.to_owned(), nature(value))).collect();
            json!({ "struct": fields })
        }
        Value::Float(_) | Value::Nil => json!("not in these events"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
