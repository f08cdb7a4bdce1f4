//! Renders settings as TOML.

use std::collections::BTreeMap;

use figment::value::Value;

use crate::keys::{self, KEYS, Key, SECTIONS};
use crate::settings::Settings;

/// Renders every key with its value, by sections: with `comment` its meaning before it, and its origin after the value.
pub(crate) fn render(settings: &Settings, comment: bool, origins: &BTreeMap<String, String>) -> String {
    // serde accepts all settings; an empty value would fail the tests.
    let values = Value::serialize(settings).unwrap_or_else(|_| Value::from(""));
    let mut text = String::new();
    for section in SECTIONS {
        if comment {
            text.push_str(&format!("\n# {}\n", section.doc));
        } else if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[{}]\n", section.path));
        for key in KEYS.iter().filter(|key| keys::section(key.path).is_some_and(|own| own.path == section.path)) {
            if comment && !key.doc.is_empty() {
                text.push_str(&format!("# {}\n", key.doc.replace('\n', "\n# ")));
            }
            text.push_str(&line(key, section.path, &values));
            if let Some(origin) = origins.get(key.path) {
                text.push_str(&format!(" # {}", origin.replace(char::is_control, " ")));
            }
            text.push('\n');
        }
    }
    text
}

fn line(key: &Key, section: &str, values: &Value) -> String {
    let name = key.path.strip_prefix(section).map_or(key.path, |name| name.trim_start_matches('.'));
    let value = values.find_ref(key.path).map_or_else(|| "\"\"".to_owned(), toml);
    format!("{name} = {value}")
}

fn toml(value: &Value) -> String {
    match value {
        Value::String(_, text) => quote(text),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match (number.to_u128(), number.to_f64()) {
            (Some(number), _) => number.to_string(),
            // With a point, so that it remains a float.
            (None, Some(number)) => format!("{number:?}"),
            (None, None) => String::new(),
        },
        Value::Array(_, items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Dict(_, table) if table.is_empty() => "{}".to_owned(),
        Value::Dict(_, table) => {
            let entries: Vec<_> =
                table.iter().map(|(name, value)| format!("{} = {}", quote(name), toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        _ => quote(""),
    }
}

/// A basic string of TOML 1.0.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn control_characters_are_quoted() {
        for (text, expected) in [("", r#""""#), ("a\"b\\", r#""a\"b\\""#), ("\n\t\u{1}é", r#""\n\t\u0001é""#)] {
            assert_eq!(quote(text), expected);
        }
    }
}
