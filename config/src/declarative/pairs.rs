//! Names with values: entries of lists, and the texts that hold them as settings.

use std::collections::BTreeMap;

use super::apply::apply;
use super::report::{LocatedNode, Report};
use super::table::Row;
use crate::convert;

/// The expected form of a text with names and values.
const FORM: &str = "use name=value,name=value with values percent-encoded";

/// Names with values that a mapping has in two nodes: as a list, and as a text, whose node has `_list` after its name.
pub(super) struct PairKind {
    /// The name of the node with the list.
    pub(super) node: &'static str,
    /// The nodes of an item of the list.
    pub(super) rows: &'static [Row],
    /// Returns the text of a value, by the item and the node `value`; `None` if it has a mistake.
    pub(super) text: fn(&LocatedNode<'_>, &LocatedNode<'_>, &mut Report) -> Option<String>,
    /// Returns the name in use; `None` if it has a mistake, or if the pair has a key of its own.
    pub(super) name: fn(&Pair<'_>, &mut Report) -> Option<String>,
}

/// A name with a value.
#[derive(Debug)]
pub(super) struct Pair<'p> {
    /// The node of the value.
    pub(super) at: &'p LocatedNode<'p>,
    /// The words for the pair in messages.
    pub(super) label: String,
    pub(super) name: &'p str,
    pub(super) value: &'p str,
}

/// Sets a key to the pairs of both nodes of a mapping, as one text. The list's precede those of the text.
pub(super) fn read(mapping: &LocatedNode<'_>, kind: &PairKind, key: &str, report: &mut Report) {
    let (text, list) = (mapping.child(&format!("{}_list", kind.node)), mapping.child(kind.node));
    let mut pairs = BTreeMap::new();
    if let Some(at) = &text
        && let Some(text) = at.text(report)
    {
        match convert::pairs(text) {
            Ok(listed) => {
                for (position, (name, value)) in listed.into_iter().enumerate() {
                    let label = format!("entry {}", position + 1);
                    let name = (kind.name)(&Pair { at, label, name: &name, value: &value }, report);
                    pairs.extend(name.map(|name| (name, value)));
                }
            }
            Err(wrong) => report.wrong(at, wrong, FORM),
        }
    }
    let items = list.as_ref().map(|list| list.items(report)).unwrap_or_default();
    for item in items {
        if let Some((name, at)) = entry(&item, kind.rows, report)
            && let Some(value) = (kind.text)(&item, &at, report)
        {
            let name = (kind.name)(&Pair { at: &at, label: "it".to_owned(), name, value: &value }, report);
            pairs.extend(name.map(|name| (name, value)));
        }
    }
    if let Some(at) = list.or(text).filter(|_| !pairs.is_empty()) {
        report.set(&at, key, encode(&pairs));
    }
}

/// The name and the value of an entry; `None` if its value is empty, which leaves it out, or if it has a mistake.
fn entry<'n>(item: &LocatedNode<'n>, rows: &[Row], report: &mut Report) -> Option<(&'n str, LocatedNode<'n>)> {
    if !item.is_mapping(report) {
        return None;
    }
    apply(item, &[rows], "", report);
    let (Some(name), Some(value)) = (item.child("name"), item.entry("value")) else {
        report.wrong(item, "it has no name or no value", "write both; an empty value leaves the entry out");
        return None;
    };
    let name = name.text(report)?;
    (!value.node.is_null()).then_some((name, value))
}

/// Names and values as one text, which replaces a weaker source's as a whole.
fn encode(pairs: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    pairs.join(",")
}

/// Encodes all but the unreserved characters of RFC 3986.
fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::convert::pairs;

    #[test]
    fn encoded_pairs_are_parsed_back() {
        let values = [("a", "plain-1._~"), ("b", " a=b, 100 % é\n"), ("c", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = encode(&values.clone().into());
        assert_eq!(text, "a=plain-1._~,b=%20a%3Db%2C%20100%20%25%20%C3%A9%0A,c=");
        assert_eq!(pairs(&text), Ok(values.to_vec()));
    }
}
