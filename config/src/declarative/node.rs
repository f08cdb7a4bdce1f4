//! The nodes of a YAML file: values by YAML 1.2's core schema, with the lines that they begin at.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Its line, or in a mapping that of its name, from 1.
    pub(super) line: usize,
    pub(super) value: NodeValue,
    /// Whether a variable without a default is a part of it.
    pub(super) has_variable: bool,
}

/// A node's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeValue {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, NodeValue::Null)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The type in words, for messages. Values are not quoted: they may be secret.
    pub(super) fn describe(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "it is empty",
            NodeValue::Bool(_) => "it is true or false",
            NodeValue::Integer(_) => "it is a whole number",
            NodeValue::Float(_) => "it is a number with a fraction",
            NodeValue::Text(_) => "it is a text",
            NodeValue::List(_) => "it is a list",
            NodeValue::Map(_) => "it is a mapping",
        }
    }

    /// The value as a setting; `None` for an empty one. Empty entries of lists and mappings are left out.
    pub(super) fn setting(&self) -> Option<Value> {
        Some(match &self.value {
            NodeValue::Null => return None,
            NodeValue::Bool(flag) => Value::from(*flag),
            NodeValue::Integer(number) => integer(*number),
            NodeValue::Float(number) => Value::from(*number),
            NodeValue::Text(text) => Value::from(text.as_str()),
            NodeValue::List(items) => Value::from(items.iter().filter_map(Self::setting).collect::<Vec<_>>()),
            NodeValue::Map(entries) => {
                let entries = entries.iter().filter_map(|(name, node)| Some((name.clone(), node.setting()?)));
                Value::from(entries.collect::<Dict>())
            }
        })
    }
}

/// A number as a setting. serde reads no i128 into smaller types; the check of the key refuses larger numbers.
pub(super) fn integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// The value of a scalar without quotes, by the core schema (YAML 1.2.2, section 10.3.2).
pub(super) fn plain(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" => return NodeValue::Bool(true),
        "false" | "False" | "FALSE" => return NodeValue::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return NodeValue::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return NodeValue::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return NodeValue::Float(f64::NAN),
        _ => {}
    }
    let decimal = text.parse::<i128>().ok();
    if let Some(number) = decimal.or_else(|| with_radix(text, "0x", 16)).or_else(|| with_radix(text, "0o", 8)) {
        return NodeValue::Integer(number);
    }
    // Beside numbers, Rust parses words such as "inf" and "nan".
    let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(number) if is_number => NodeValue::Float(number),
        _ => NodeValue::Text(text.to_owned()),
    }
}

fn with_radix(text: &str, prefix: &str, radix: u32) -> Option<i128> {
    let digits = text.strip_prefix(prefix).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))?;
    i128::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::NodeValue::{Bool, Float, Integer, Null, Text};
    use super::plain;

    #[test]
    fn plain_scalars_follow_core_schema() {
        for (text, expected) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("true", Bool(true)),
            ("FALSE", Bool(false)),
            ("0", Integer(0)),
            ("+12", Integer(12)),
            ("-12", Integer(-12)),
            ("0123", Integer(123)),
            ("0xdeadbeef", Integer(3_735_928_559)),
            ("0o17", Integer(15)),
            ("1.1", Float(1.1)),
            (".5", Float(0.5)),
            ("5.", Float(5.0)),
            ("-1e3", Float(-1000.0)),
            (".inf", Float(f64::INFINITY)),
            ("-.INF", Float(f64::NEG_INFINITY)),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        for text in
            ["yes", "inf", "nan", "1_000", "0x", "0x+f", "0b1", "-0xf", "1.2.3", "e5", ".", "tRue", "value", "-"]
        {
            assert_eq!(plain(text), Text(text.to_owned()), "{text}");
        }
    }
}
