//! The labels of metrics that some packets count in.

use std::borrow::Cow;

use eyepiece_config::Naming;
use eyepiece_flow::flow::Direction;
use eyepiece_flow::summary;
use eyepiece_hubble::proto::flow::SctpChunkType;
use eyepiece_semconv::attribute;

use super::label::{Label, family_text};
use crate::pipeline::metrics::Labels;

/// Returns the labels of a series; empty for those of other metrics.
pub(super) fn texts(labels: Labels, naming: Naming) -> Vec<(Label, Cow<'static, str>)> {
    let family = |version| (Label::new(attribute::NETWORK_TYPE), family_text(version, naming).into());
    let protocol = |text: &'static str| (Label::new(attribute::HUBBLE_PROTOCOL), text.into());
    let port = |text: String| (Label::of_metric(attribute::DESTINATION_PORT, "port"), text.into());
    match labels {
        Labels::Icmp { kind, code, version } => {
            let mut text = String::new();
            let written = match version {
                4 => summary::write_icmp4(kind, code, &mut text),
                _ => summary::write_icmp6(kind, code, &mut text),
            };
            // Writing to memory cannot fail.
            written.unwrap_or_default();
            vec![family(version), (Label::new(attribute::HUBBLE_ICMP_MESSAGE), text.into())]
        }
        Labels::Port { protocol: name, port: number } => vec![protocol(name), port(number.to_string())],
        Labels::Policy { matched, direction, verdict } => vec![
            (Label::new(attribute::HUBBLE_POLICY_DIRECTION), direction_text(direction).into()),
            (Label::new(attribute::HUBBLE_POLICY_MATCH_TYPE), matched.text().into()),
            (Label::new(attribute::HUBBLE_POLICY_ACTION), verdict.name().to_lowercase().into()),
        ],
        Labels::World { protocol: name, verdict, port: number } => {
            let verdict = (Label::new(attribute::HUBBLE_VERDICT), verdict.name().into());
            let number = number.map(|number| number.map(|number| number.to_string()).unwrap_or_default());
            [protocol(name), verdict].into_iter().chain(number.map(port)).collect()
        }
        Labels::Sctp { chunk, version } => {
            let name = SctpChunkType::try_from(chunk).map_or("", |chunk| chunk.as_str_name());
            vec![(Label::new(attribute::HUBBLE_SCTP_CHUNK_NAME), name.into()), family(version)]
        }
        _ => Vec::new(),
    }
}

/// Hubble's text, the enum's name in lower case.
const fn direction_text(direction: Direction) -> &'static str {
    match direction {
        Direction::Unknown => "traffic_direction_unknown",
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}
