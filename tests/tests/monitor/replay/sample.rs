//! A payload, and the output of Cilium 1.15's client for it, by flags.

use serde_json::Value;

/// The first fields of a payload of the datapath but a socket's.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    pub(crate) subtype: u8,
    pub(crate) endpoint: u16,
    pub(crate) hash: u32,
    /// The CPU, sent besides the payload.
    pub(crate) cpu: u16,
}

impl Head {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut data = vec![self.kind, self.subtype];
        data.extend(self.endpoint.to_le_bytes());
        data.extend(self.hash.to_le_bytes());
        data
    }
}

/// A payload and its lines; an empty line is one that is not printed.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    /// The client's name of its type.
    pub(crate) kind: &'static str,
    pub(crate) cpu: u16,
    pub(crate) data: Vec<u8>,
    /// The values that --from and --to compare.
    pub(crate) endpoints: (u16, u16),
    /// The line without arguments, and with -v if `verbose` has none.
    pub(crate) line: String,
    /// The line with -v, if it differs.
    pub(crate) verbose: String,
    /// With -vv, the first line.
    pub(crate) detailed: String,
    /// The content of the following lines with -vv.
    pub(crate) layers: Vec<String>,
    /// The bytes after the first line with --hex -vv.
    pub(crate) packet: Vec<u8>,
    /// With -j: an object has at least these members, a text is the line.
    pub(crate) json: Value,
}

impl Sample {
    pub(crate) fn new(kind: &'static str, cpu: u16, data: Vec<u8>) -> Self {
        Self { kind, cpu, data, ..Self::default() }
    }

    /// The same line at any verbosity, and instead of JSON.
    pub(crate) fn same_with_details(self) -> Self {
        Self { detailed: self.line.clone(), json: Value::String(self.line.clone()), ..self }
    }
}
