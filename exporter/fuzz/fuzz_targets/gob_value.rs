//! Values with their descriptors: any bytes give a value or an error, independent of the bytes after the value.
#![no_main]

use eyepiece_flow::gob::{Value, value};
use libfuzzer_sys::fuzz_target;

/// Counts the values in a value.
fn parts(value: &Value) -> usize {
    1 + match value {
        Value::List(list) => list.iter().map(parts).sum(),
        Value::Map(map) => map.iter().map(|(key, value)| parts(key) + parts(value)).sum(),
        Value::Struct(fields) => fields
            .iter()
            .map(|(name, value)| {
                assert!(fields.has(name) && fields.get(name).is_some());
                parts(value)
            })
            .sum(),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    match value(bytes) {
        Ok((found, used)) => {
            assert!(used > 0 && used <= bytes.len());
            // A value takes a byte or more; a complex number has two parts beside itself.
            assert!(parts(&found) <= 3 * bytes.len());
            let again = value(&bytes[..used]);
            assert!(again.is_ok_and(|(again, length)| length == used && parts(&again) == parts(&found)));
            assert!(value(&bytes[..used - 1]).is_err());
        }
        Err(error) => assert!(error.offset <= bytes.len() && !error.reason().is_empty()),
    }
});
