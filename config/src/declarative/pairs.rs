//! Names with values: entries of lists, and the texts that hold them as settings.

use std::collections::BTreeMap;

use super::apply::apply;
use super::report::{At, Report};
use super::table::Row;

/// The expected form of a text with names and values.
pub(super) const FORM: &str = "use name=value,name=value with values percent-encoded";

/// The name and the value of an entry; `None` if its value is empty, which leaves it out, or if it has a mistake.
pub(super) fn entry<'n>(item: &At<'n>, rows: &[Row], report: &mut Report) -> Option<(&'n str, At<'n>)> {
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
pub(super) fn encode(pairs: &BTreeMap<String, String>) -> String {
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
