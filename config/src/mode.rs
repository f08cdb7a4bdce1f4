//! Permission bits (`0660`): from text, to text, and for serde.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Parses three or four octal digits, at most `0777`.
///
/// # Errors
/// The fault as words that follow the text.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode @ ..=0o777) if is_octal => Ok(mode),
        Ok(_) if is_octal => Err("sets more than permissions".to_owned()),
        _ => Err("is not of three or four octal digits".to_owned()),
    }
}

pub(crate) fn serialize<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{value:04o}"))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    parse_mode(&String::deserialize(deserializer)?).map_err(Error::custom)
}

#[cfg(test)]
mod tests {
    use super::parse_mode;

    #[test]
    fn modes_are_octal() {
        for (text, mode) in [("0660", Some(0o660)), ("600", Some(0o600)), ("0000", Some(0)), ("0777", Some(0o777))] {
            assert_eq!(parse_mode(text).ok(), mode, "{text}");
        }
        for text in ["", "66", "00660", "0680", "1777", "+660", "0o66", "0x1f", "rw-"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}
