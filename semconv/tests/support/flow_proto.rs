//! Reads the messages of Hubble's flow.proto, for the fields that the registry names.

use std::collections::BTreeMap;

use super::folder;

/// The types of fields, by their message and name.
pub(crate) struct Messages(BTreeMap<(String, String), String>);

impl Messages {
    pub(crate) fn read() -> Self {
        let path = folder().join("../exporter/hubble/proto/flow/flow.proto");
        Self::parse(&std::fs::read_to_string(path).expect("flow.proto"))
    }

    /// Takes each declaration as a line of its own, and messages without messages in them, as the file has them.
    fn parse(text: &str) -> Self {
        let (mut fields, mut message) = (BTreeMap::new(), None);
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim_end();
            if let Some(rest) = line.strip_prefix("message ") {
                message = rest.split_whitespace().next().map(str::to_owned);
            } else if line == "}" {
                message = None;
            } else if let (Some(message), Some((declaration, _))) = (&message, line.split_once(" = ")) {
                let mut words = declaration.split_whitespace().rev();
                if let (Some(name), Some(kind)) = (words.next(), words.next()) {
                    fields.insert((message.clone(), name.to_owned()), kind.to_owned());
                }
            }
        }
        Self(fields)
    }

    /// Whether a path such as `Flow.l4.TCP.flags` leads to a field, or `Flow` names a message.
    pub(crate) fn has(&self, path: &str) -> bool {
        let mut names = path.split('.');
        let mut message = names.next().unwrap_or_default();
        let is_known = self.0.keys().any(|(known, _)| known == message);
        is_known
            && names.all(|name| match self.0.get(&(message.to_owned(), name.to_owned())) {
                Some(kind) => {
                    message = kind;
                    true
                }
                None => false,
            })
    }
}
