//! Applies the table of nodes to the mappings of the file.

use figment::value::Value;

use super::node::{Node, NodeValue, integer};
use super::report::{LocatedNode, Report};
use super::table::{Effect, Form, Row};

const MILLISECONDS: &str = "use a whole number of milliseconds";
const INTERVAL: &str = "use a whole number of milliseconds above 0";

/// Applies the effects of all entries of a mapping, and reports those that the tables do not have. `keys` precedes the
/// keys of the tables.
pub(super) fn apply(at: &LocatedNode<'_>, tables: &[&[Row]], keys: &str, report: &mut Report) {
    apply_below(at, "", tables, keys, report);
}

/// Applies the rows whose paths begin with a prefix, which is empty or ends with a dot.
fn apply_below(at: &LocatedNode<'_>, prefix: &str, tables: &[&[Row]], keys: &str, report: &mut Report) {
    if !at.is_mapping(report) {
        return;
    }
    let rows: Vec<&Row> = tables.iter().copied().flatten().filter(|row| row.path.starts_with(prefix)).collect();
    for (name, child) in at.entries() {
        let path = format!("{prefix}{name}");
        let inner = format!("{path}.");
        // A name with a dot is not a path of the table.
        let is_name = !name.contains('.');
        if let Some(row) = rows.iter().find(|row| is_name && row.path == path) {
            // By the specification, an empty node has its default.
            if !child.node.is_null() {
                apply_effect(&child, row.effect, keys, report);
            }
        } else if is_name && rows.iter().any(|row| row.path.starts_with(&inner)) {
            apply_below(&child, &inner, tables, keys, report);
        } else {
            let names = rows.iter().filter_map(|row| row.path[prefix.len()..].split('.').next());
            let mut known: Vec<&str> = names.collect();
            known.sort_unstable();
            known.dedup();
            report.unknown(&child, &known);
        }
    }
}

fn apply_effect(at: &LocatedNode<'_>, effect: Effect, keys: &str, report: &mut Report) {
    match effect {
        Effect::Sets(key, form) => match value(form, at.node) {
            Ok(value) => report.set(at, format!("{keys}{key}"), value),
            Err((wrong, right)) => report.wrong(at, wrong, right),
        },
        Effect::LimitsExport(key) => match value(Form::Timeout, at.node) {
            Ok(value) => report.limit_export(at, key, value),
            Err((wrong, right)) => report.wrong(at, wrong, right),
        },
        Effect::Only(supported) => {
            let right = format!("use {}", supported.join(", "));
            match word(at.node) {
                Some(word) if supported.contains(&word) => {}
                Some(word) => report.warn(at, format!("{word:?} is not supported, it is ignored"), right),
                None => report.wrong(at, at.node.describe(), right),
            }
        }
        Effect::Unsupported => report.unsupported(at),
        Effect::Read => {}
    }
}

/// A text, or a flag as a text.
fn word(node: &Node) -> Option<&str> {
    match &node.value {
        NodeValue::Text(text) => Some(text),
        NodeValue::Bool(true) => Some("true"),
        NodeValue::Bool(false) => Some("false"),
        _ => None,
    }
}

/// The setting of a value, or what is wrong and what would be right.
fn value(form: Form, node: &Node) -> Result<Value, (String, String)> {
    let wrong = |right: &str| Err((node.describe().to_owned(), right.to_owned()));
    match (form, &node.value) {
        (Form::Number, NodeValue::Integer(number)) => Ok(integer(*number)),
        (Form::Number, _) => wrong("use a whole number"),
        (Form::Interval, NodeValue::Integer(..=0)) => Err(("it is not above 0".to_owned(), INTERVAL.to_owned())),
        (Form::Delay | Form::Timeout, NodeValue::Integer(..0)) => {
            Err(("it is negative".to_owned(), MILLISECONDS.to_owned()))
        }
        // Without a pause.
        (Form::Delay, NodeValue::Integer(0)) => Ok("1ms".into()),
        // No limit: as the specification suggests, the most milliseconds of 32 bits.
        (Form::Timeout, NodeValue::Integer(0)) => Ok(format!("{}ms", i32::MAX).into()),
        (Form::Interval | Form::Delay | Form::Timeout, NodeValue::Integer(number)) => Ok(format!("{number}ms").into()),
        (Form::Interval | Form::Delay | Form::Timeout, _) => wrong(MILLISECONDS),
        (Form::AbsolutePath, NodeValue::Text(path)) if path.starts_with('/') => Ok(path.as_str().into()),
        (Form::AbsolutePath, NodeValue::Text(path)) => {
            Err((format!("{path:?} is no absolute path"), "use the absolute path of a PEM file".to_owned()))
        }
        (Form::AbsolutePath, _) => wrong("use the absolute path of a PEM file"),
        (Form::Words(words), NodeValue::Text(text)) => match words.iter().find(|(word, _)| word == text) {
            Some((_, setting)) => Ok((*setting).into()),
            None => Err((format!("{text:?} is not known"), words_in_use(words))),
        },
        (Form::Words(words), _) => wrong(&words_in_use(words)),
    }
}

fn words_in_use(words: &[(&str, &str)]) -> String {
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    format!("use {}", words.join(", "))
}
