//! Handlers of Hubble's metrics with their options, in Hubble's notation:
//! `drop:sourceContext=pod|ip;destinationContext=dns;labelsContext=source_pod,traffic_direction`.
//!
//! Rules of Cilium's `pkg/hubble/metrics/api`. Identifiers may also be ours: `name`, `container`, `unit`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::choices::{Context, ContextLabel, HandlerName};

/// The contexts that name one end of a metric's flows: the first that is not empty applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndContexts {
    /// In every direction without contexts of its own.
    pub any: Vec<Context>,
    /// In flows out of an endpoint; empty: as `any`.
    pub egress: Vec<Context>,
    /// In flows into an endpoint; empty: as `any`.
    pub ingress: Vec<Context>,
}

/// The contexts of both ends of a metric's flows, and its further labels. Without contexts an end has no label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextOptions {
    /// The source.
    pub source: EndContexts,
    /// The destination.
    pub destination: EndContexts,
    /// Further labels.
    pub labels: Vec<ContextLabel>,
}

/// A handler with its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Handler {
    /// `None` if there is no handler of this name; its options are not read then.
    pub name: Option<HandlerName>,
    /// The contexts of its metrics.
    pub contexts: ContextOptions,
    /// Its other options.
    pub options: HandlerOptions,
    line: String,
}

/// The options of single handlers, besides contexts. Those of another handler have no effect, as with Hubble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerOptions {
    /// `query` of dns: the name in the question is a label.
    pub query: bool,
    /// `ignoreAAAA` of dns: messages that ask for AAAA records alone do not count.
    pub ignore_aaaa: bool,
    /// `any-drop` of flows-to-world: every drop counts, not those by policy alone.
    pub any_drop: bool,
    /// `port` of flows-to-world: the destination's port is a label.
    pub port: bool,
    /// `syn-only` of flows-to-world: only TCP segments with SYN that are no replies count.
    pub syn_only: bool,
    /// `exemplars=true` of http and httpV2: series have the latest trace id as exemplar. The first such option decides.
    pub exemplars: Option<bool>,
}

impl HandlerOptions {
    /// Sets one option; an unknown one is ignored.
    fn set(&mut self, option: &str) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name.to_ascii_lowercase().as_str() {
            "query" => self.query = true,
            "ignoreaaaa" => self.ignore_aaaa = true,
            "any-drop" => self.any_drop = true,
            "port" => self.port = true,
            "syn-only" => self.syn_only = true,
            "exemplars" => {
                let first = value.split('|').find(|value| !value.is_empty());
                self.exemplars.get_or_insert(first == Some("true"));
            }
            _ => {}
        }
    }
}

impl Handler {
    /// The handler's name as it was given.
    pub fn given_name(&self) -> &str {
        split(&self.line).0
    }
}

impl FromStr for Handler {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (name, options) = split(line);
        let name = name.parse().ok();
        let (mut contexts, mut further) = (ContextOptions::default(), HandlerOptions::default());
        for option in options.split(';').filter(|_| name.is_some()) {
            contexts.set(option).map_err(|wrong| format!("in {line:?}, {wrong}"))?;
            further.set(option);
        }
        Ok(Self { name, contexts, options: further, line: line.to_owned() })
    }
}

impl TryFrom<String> for Handler {
    type Error = String;

    fn try_from(line: String) -> Result<Self, String> {
        line.parse()
    }
}

impl From<Handler> for String {
    fn from(handler: Handler) -> Self {
        handler.line
    }
}

impl ContextOptions {
    /// Sets the contexts of one option, such as `sourceContext=pod|ip`. An unknown option is ignored.
    fn set(&mut self, option: &str) -> Result<(), String> {
        // As in Hubble, empty values between separators are left out, and an option without a sign has one.
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let values = |separator| match value {
            Some(value) => value.split(separator).filter(|value| !value.is_empty()).collect(),
            None => vec![""],
        };
        let contexts = match name.to_ascii_lowercase().as_str() {
            "sourcecontext" => &mut self.source.any,
            "sourceegresscontext" => &mut self.source.egress,
            "sourceingresscontext" => &mut self.source.ingress,
            "destinationcontext" => &mut self.destination.any,
            "destinationegresscontext" => &mut self.destination.egress,
            "destinationingresscontext" => &mut self.destination.ingress,
            "labelscontext" => {
                self.labels = values(',').into_iter().map(str::parse).collect::<Result<_, _>>()?;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let context = |text: &str| {
            let known = text.to_ascii_lowercase().parse();
            known.map_err(|_| format!("{text:?} is none of {}", Context::NAMES.join(", ")))
        };
        *contexts = values('|').into_iter().map(context).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// Returns why handlers cannot be used together.
pub(crate) fn conflicts(handlers: &[Handler]) -> Vec<String> {
    let names: Vec<HandlerName> = handlers.iter().filter_map(|handler| handler.name).collect();
    let repeated = names.iter().enumerate().filter(|(place, name)| names[..*place].contains(name));
    let mut conflicts: Vec<String> = repeated.map(|(_, name)| format!("{name} is listed twice")).collect();
    if names.contains(&HandlerName::Http) && names.contains(&HandlerName::HttpV2) {
        conflicts.push("http and httpV2 exclude each other".to_owned());
    }
    conflicts
}

/// Name and options.
fn split(line: &str) -> (&str, &str) {
    line.split_once(':').unwrap_or((line, ""))
}

#[cfg(test)]
mod tests {
    use super::{Handler, HandlerName, HandlerOptions, conflicts};
    use crate::choices::Context::{Dns, Identity, Ip, Namespace, Pod, Unit};
    use crate::choices::ContextLabel::{DestinationIp, SourcePod, TrafficDirection};

    fn parse(line: &str) -> Handler {
        line.parse().unwrap_or_else(|wrong| panic!("{line}: {wrong}"))
    }

    #[test]
    fn options_set_contexts_and_labels() {
        let line = "drop:SOURCEcontext=Pod|IP;destinationEgressContext=dns;destinationIngressContext=unit;;\
                    sourceEgressContext=namespace;sourceIngressContext=identity;labelsContext=source_pod,destination_ip";
        let handler = parse(line);
        let (source, destination) = (&handler.contexts.source, &handler.contexts.destination);
        assert_eq!((handler.name, handler.given_name()), (Some(HandlerName::Drop), "drop"));
        assert_eq!((&source.any[..], &source.egress[..]), (&[Pod, Ip][..], &[Namespace][..]));
        assert_eq!((&source.ingress[..], &destination.any[..]), (&[Identity][..], &[][..]));
        assert_eq!((&destination.egress[..], &destination.ingress[..]), (&[Dns][..], &[Unit][..]));
        assert_eq!(handler.contexts.labels, [SourcePod, DestinationIp]);
        assert_eq!(String::from(handler), line, "as it was given");
    }

    #[test]
    fn other_options_change_nothing() {
        for line in ["flow", "flow:", "flow:;", "flow:query;exemplars=true;x=sourceContext=pod", "dns:query;ignoreAAAA"]
        {
            let handler = parse(line);
            assert!(handler.name.is_some(), "{line}");
            assert_eq!(handler.contexts, Default::default(), "{line}");
        }
        let last =
            parse("flow:sourceContext=pod;labelsContext=source_pod;sourcecontext=ip;labelsContext=traffic_direction");
        assert_eq!((&last.contexts.source.any[..], &last.contexts.labels[..]), (&[Ip][..], &[TrafficDirection][..]));
    }

    #[test]
    fn empty_values_are_left_out() {
        let handler = parse("drop:sourceContext=;destinationContext=|pod||ip|;labelsContext=,source_pod,");
        assert_eq!(
            (&handler.contexts.source.any[..], &handler.contexts.destination.any[..]),
            (&[][..], &[Pod, Ip][..])
        );
        assert_eq!(handler.contexts.labels, [SourcePod]);
    }

    #[test]
    fn options_are_of_any_case() {
        let plain = HandlerOptions::default();
        for (line, expected) in [
            ("dns:Query;IGNOREaaaa", HandlerOptions { query: true, ignore_aaaa: true, ..plain }),
            ("dns:query=no", HandlerOptions { query: true, ..plain }),
            (
                "flows-to-world:any-drop;port;syn-only;labelsContext=source_app",
                HandlerOptions { any_drop: true, port: true, syn_only: true, ..plain },
            ),
            ("http:exemplars=true", HandlerOptions { exemplars: Some(true), ..plain }),
            ("httpV2:exemplars=|true;exemplars=false", HandlerOptions { exemplars: Some(true), ..plain }),
            ("httpV2:exemplars;exemplars=true", HandlerOptions { exemplars: Some(false), ..plain }),
            ("http:exemplars=True;querys", HandlerOptions { exemplars: Some(false), ..plain }),
        ] {
            assert_eq!(parse(line).options, expected, "{line}");
        }
    }

    #[test]
    fn handler_names_are_exact() {
        for name in HandlerName::NAMES {
            assert_eq!(parse(name).name.map(HandlerName::name), Some(*name));
        }
        for unknown in
            ["kafka", "DROP", "httpv2", "Flow:sourceContext=pod", ":sourceContext=pod", "kafka:sourceContext=x"]
        {
            assert_eq!(parse(unknown).name, None, "{unknown}");
        }
    }

    #[test]
    fn unknown_identifiers_and_labels_are_named() {
        for (line, wrong) in [
            ("drop:sourceContext=pod|node", "\"node\" is none of name, ip, "),
            ("drop:sourceContext", "\"\" is none of name, "),
            ("drop:sourceContext= pod", "\" pod\" is none of name, "),
            ("tcp:labelsContext=source_pod,Source_pod", "\"Source_pod\" is none of source_ip, source_pod, "),
            ("dns:labelsContext", "\"\" is none of source_ip, "),
        ] {
            let error = line.parse::<Handler>().expect_err(line);
            assert!(error.starts_with(&format!("in {line:?}, {wrong}")), "{error}");
        }
    }

    #[test]
    fn handlers_exclude_each_other() {
        for (lines, expected) in [
            (&["drop", "flow:sourceContext=pod", "http"][..], &[][..]),
            (&["drop", "tcp", "drop:sourceContext=pod"], &["drop is listed twice"]),
            (&["kafka", "kafka"], &[]),
            (&["httpV2", "http"], &["http and httpV2 exclude each other"]),
        ] {
            let handlers: Vec<Handler> = lines.iter().map(|line| parse(line)).collect();
            assert_eq!(conflicts(&handlers), expected, "{lines:?}");
        }
    }
}
