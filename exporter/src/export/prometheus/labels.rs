//! Labels of series, and the escaping of texts.

use std::borrow::Cow;

use super::names::label_name;

/// The labels of one series; its memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Labels<'a> {
    labels: Vec<Label<'a>>,
}

/// Ordered by its name, then by that of its attribute.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Label<'a> {
    name: Cow<'a, str>,
    attribute: &'a str,
    value: &'a str,
}

impl<'a> Labels<'a> {
    /// Replaces the labels by those of attributes.
    pub(super) fn set(&mut self, attributes: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let label = |(attribute, value)| Label { name: label_name(attribute), attribute, value };
        self.labels.clear();
        // Only a resource's attributes, which anyone may set, can have no name.
        self.labels.extend(attributes.into_iter().map(label).filter(|label| !label.name.is_empty()));
        self.labels.sort_unstable();
    }

    /// Writes the labels in the order of their names, without braces. Values of attributes that become one label are
    /// joined by `;`, in the order of the attributes' names.
    pub(super) fn write(&self, out: &mut String) {
        let mut separator = "";
        for same in self.labels.chunk_by(|a, b| a.name == b.name) {
            let [first, others @ ..] = same else { continue };
            out.push_str(separator);
            out.push_str(&first.name);
            out.push_str("=\"");
            push_value(out, first.value);
            for other in others {
                out.push(';');
                push_value(out, other.value);
            }
            out.push('"');
            separator = ",";
        }
    }
}

/// Writes the value of a label, without quotes around it.
pub(super) fn push_value(out: &mut String, value: &str) {
    push_escaped(out, value, "\\\"");
}

/// Writes a text, with its quotes as given. Zero bytes are replaced: Prometheus' parser takes one for the page's end.
pub(super) fn push_escaped(out: &mut String, text: &str, quote: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b'\n' | b'"' | 0)) {
        // These bytes are characters of their own in UTF-8.
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match special.as_bytes() {
            [b'\\', ..] => r"\\",
            [b'\n', ..] => r"\n",
            [b'"', ..] => quote,
            _ => "\u{fffd}",
        });
        rest = &special[1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::{Labels, push_escaped};

    #[test]
    fn labels_are_sorted_escaped_and_joined() {
        for (name, attributes, expected) in [
            ("none", vec![], ""),
            ("one without a value", vec![("source", "")], r#"source="""#),
            ("order", vec![("verdict", "DROPPED"), ("protocol", "TCP")], r#"protocol="TCP",verdict="DROPPED""#),
            ("characters", vec![("query", "a b.\"x\"\\\n\0é.")], "query=\"a b.\\\"x\\\"\\\\\\n\u{fffd}é.\""),
            ("names", vec![("k8s.pod.name", "p")], r#"k8s_pod_name="p""#),
            ("one label of two", vec![("a_b", "2"), ("b", "3"), ("a.b", "1")], r#"a_b="1;2",b="3""#),
            ("no name", vec![("", "x"), ("a", "y")], r#"a="y""#),
        ] {
            let mut labels = Labels::default();
            // What was there before must not remain.
            labels.set([("before", "x")]);
            labels.set(attributes);
            let mut text = String::new();
            labels.write(&mut text);
            assert_eq!(text, expected, "{name}");
        }
    }

    #[test]
    fn quotes_are_as_given() {
        for (text, quote, expected) in
            [("a \"b\"", "\"", "a \"b\""), ("a \"b\"", "\\\"", "a \\\"b\\\""), ("\n\\", "\"", "\\n\\\\")]
        {
            let mut out = String::new();
            push_escaped(&mut out, text, quote);
            assert_eq!(out, expected);
        }
    }
}
