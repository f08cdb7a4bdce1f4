//! Field masks: reduce an encoded message to the fields that a client requested.

use prost_reflect::{Kind, MessageDescriptor};

use crate::proto;
use crate::wire;
use crate::wire::BYTES;

/// The fields to keep; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// `None` = all.
    fields: Option<Node>,
    /// See [`Mask::with_extension`].
    extension: bool,
}

/// The error of an invalid mask.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid fieldmask: {path:?} is not a field of {message}")]
pub struct InvalidMask {
    /// The path, which is unknown or leads into a repeated field.
    pub path: String,
    /// The full name of the message.
    pub message: String,
}

/// Fields of one message, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node(Vec<(u32, Part)>);

/// The part of a field to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// The whole field.
    Whole,
    /// Some fields of its message.
    Some {
        fields: Node,
        /// The field is a member of a `oneof`, which is kept only if it is set.
        in_oneof: bool,
    },
}

impl Mask {
    /// Keeps all fields.
    pub const ALL: Self = Self { fields: None, extension: false };

    /// Sets whether flows get our own extension ([`crate::extension`]) before the mask is applied.
    #[must_use]
    pub fn with_extension(self, extension: bool) -> Self {
        Self { extension, ..self }
    }

    /// Returns whether flows get our own extension.
    pub const fn has_extension(&self) -> bool {
        self.extension
    }

    /// The mask of `flow.Flow` with these paths, by the names in the protobuf files (`source.pod_name`, `IP.ipVersion`).
    /// Without paths it keeps everything.
    ///
    /// # Errors
    /// A path is unknown, or leads into a repeated field.
    pub fn of_flow(paths: &[impl AsRef<str>]) -> Result<Self, InvalidMask> {
        let unknown = || InvalidMask { path: String::new(), message: "flow.Flow".to_owned() };
        Self::new(&proto::descriptor("flow.Flow").ok_or_else(unknown)?, paths)
    }

    /// The mask of any message.
    ///
    /// # Errors
    /// As [`Mask::of_flow`].
    pub fn new(message: &MessageDescriptor, paths: &[impl AsRef<str>]) -> Result<Self, InvalidMask> {
        let mut node = Node::default();
        for path in paths {
            let invalid = || InvalidMask { path: path.as_ref().to_owned(), message: message.full_name().to_owned() };
            node.add(message, path.as_ref()).ok_or_else(invalid)?;
        }
        Ok(Self { fields: (!paths.is_empty()).then_some(node), extension: false })
    }

    /// Applies the mask to the encoded message from `start` to the end of `out`.
    ///
    /// A message on a path is kept even if it is empty, a member of a `oneof` only if it is set.
    pub fn apply(&self, out: &mut Vec<u8>, start: usize) {
        let Some(node) = &self.fields else { return };
        let end = out.len();
        node.select(out, start, end);
        let kept = out.len() - end;
        out.copy_within(end.., start);
        out.truncate(start + kept);
    }
}

impl Node {
    /// Adds a path. Returns `None` if it is unknown.
    fn add(&mut self, message: &MessageDescriptor, path: &str) -> Option<()> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let field = message.get_field_by_name(name)?;
        let index = self.0.binary_search_by_key(&field.number(), |(number, _)| *number);
        let Some(rest) = rest else {
            match index {
                Ok(at) => self.0[at].1 = Part::Whole,
                Err(at) => self.0.insert(at, (field.number(), Part::Whole)),
            }
            return Some(());
        };
        let Kind::Message(inner) = field.kind() else { return None };
        if field.is_list() || field.is_map() {
            return None;
        }
        let at = index.unwrap_or_else(|at| {
            let in_oneof = field.containing_oneof().is_some();
            self.0.insert(at, (field.number(), Part::Some { fields: Self::default(), in_oneof }));
            at
        });
        match &mut self.0[at].1 {
            Part::Some { fields, .. } => fields.add(&inner, rest),
            // The whole field is kept already; the path is checked only.
            Part::Whole => Self::default().add(&inner, rest),
        }
    }

    /// Appends the kept part of the message in `out` from `at` to `end`.
    fn select(&self, out: &mut Vec<u8>, mut at: usize, end: usize) {
        // The fields that were found, by index in this node; the API's messages have fewer than 64.
        let mut seen = 0_u64;
        while let Some(field) = wire::field(&out[at..end]) {
            if let Ok(index) = self.0.binary_search_by_key(&field.number, |(number, _)| *number) {
                seen |= 1_u64.checked_shl(index as u32).unwrap_or(0);
                match &self.0[index].1 {
                    Part::Some { fields, .. } if field.wire_type == BYTES => {
                        let (value, end) = (at + field.value, at + field.end);
                        wire::message(out, field.number, |out| fields.select(out, value, end));
                    }
                    Part::Some { .. } | Part::Whole => out.extend_from_within(at..at + field.end),
                }
            }
            at += field.end;
        }
        for (index, (number, part)) in self.0.iter().enumerate() {
            if let Part::Some { fields, in_oneof: false } = part
                && seen & 1_u64.checked_shl(index as u32).unwrap_or(0) == 0
            {
                wire::message(out, *number, |out| fields.select(out, 0, 0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::Mask;
    use crate::proto::flow::layer4::Protocol;
    use crate::proto::flow::{Endpoint, Flow, Ip, Layer4, Tcp, TcpFlags, Udp, Workload};

    fn masked(flow: &Flow, paths: &[&str]) -> Flow {
        let mut out = vec![1, 2, 3];
        flow.encode(&mut out).unwrap();
        Mask::of_flow(paths).unwrap().apply(&mut out, 3);
        assert_eq!(out[..3], [1, 2, 3]);
        Flow::decode(&out[3..]).unwrap()
    }

    fn flow() -> Flow {
        let workloads = vec![Workload { name: "w".into(), kind: "k".into() }];
        let source = Endpoint { id: 7, pod_name: "pod".into(), workloads, ..Endpoint::default() };
        let tcp =
            Tcp { source_port: 1, destination_port: 2, flags: Some(TcpFlags { syn: true, ..TcpFlags::default() }) };
        Flow {
            uuid: "u".repeat(300),
            verdict: 2,
            source: Some(source),
            l4: Some(Layer4 { protocol: Some(Protocol::Tcp(tcp)) }),
            summary: "TCP".into(),
            ..Flow::default()
        }
    }

    #[test]
    fn requested_fields_are_kept() {
        let all = flow();
        assert_eq!(masked(&all, &[]), all);
        let got = masked(&all, &["source.pod_name", "Summary", "uuid", "source.workloads", "uuid"]);
        let Endpoint { pod_name, workloads, .. } = all.source.clone().unwrap();
        let source = Some(Endpoint { pod_name, workloads, ..Endpoint::default() });
        let (uuid, summary) = (all.uuid.clone(), all.summary.clone());
        assert_eq!(got, Flow { uuid, summary, source, ..Flow::default() });
        for paths in [["source", "source.ID"], ["source.ID", "source"]] {
            assert_eq!(masked(&all, &paths), Flow { source: all.source.clone(), ..Flow::default() });
        }
    }

    #[test]
    fn messages_on_path_are_kept() {
        let got = masked(&flow(), &["IP.source", "destination.ID", "trace_context.parent.trace_id", "time", "tunnel"]);
        let trace_context = got.trace_context.clone();
        assert!(trace_context.is_some_and(|context| context.parent.is_some()));
        let (ip, destination) = (Some(Ip::default()), Some(Endpoint::default()));
        assert_eq!(got, Flow { ip, destination, trace_context: got.trace_context.clone(), ..Flow::default() });
    }

    #[test]
    fn unset_oneof_members_are_omitted() {
        let paths = ["l4.TCP.flags.SYN", "l4.UDP.source_port", "l7.dns.query"];
        let got = masked(&flow(), &paths);
        let tcp = Tcp { flags: Some(TcpFlags { syn: true, ..TcpFlags::default() }), ..Tcp::default() };
        assert_eq!(got.l4, Some(Layer4 { protocol: Some(Protocol::Tcp(tcp)) }));
        assert_eq!(got.l7, Some(crate::proto::flow::Layer7::default()));
        let udp = Protocol::Udp(Udp { source_port: 5, destination_port: 6 });
        let got = masked(&Flow { l4: Some(Layer4 { protocol: Some(udp) }), ..Flow::default() }, &paths);
        let udp = Protocol::Udp(Udp { source_port: 5, destination_port: 0 });
        assert_eq!(got.l4, Some(Layer4 { protocol: Some(udp) }));
    }

    #[test]
    fn invalid_path_is_rejected() {
        for path in [
            "",
            ".",
            "nothing",
            "source.",
            "source.nothing",
            "source..ID",
            "source.id",
            "ip",
            "verdict.x",
            "uuid.x",
            "source.workloads.name",
            "source.labels.x",
            "egress_allowed_by.name",
            "time.seconds.x",
            " uuid",
        ] {
            let error = Mask::of_flow(&["uuid", "source", path]).unwrap_err();
            assert_eq!(error.path, path);
            assert!(error.to_string().starts_with("invalid fieldmask"), "{error}");
        }
        for path in ["IP.ipVersion", "time.seconds", "is_reply.value", "extensions.type_url", "source.workloads"] {
            Mask::of_flow(&[path]).unwrap();
        }
    }

    #[test]
    fn invalid_message_is_truncated() {
        for bytes in [&[0xff][..], &[0x42, 0x05, 1], &[0x42, 0x02, 0xff, 0xff], &[0x40, 0x01]] {
            let mut out = bytes.to_vec();
            Mask::of_flow(&["source.ID", "uuid"]).unwrap().apply(&mut out, 0);
            assert!(out.len() <= bytes.len() + 2, "{bytes:02x?}: {out:02x?}");
        }
    }
}
