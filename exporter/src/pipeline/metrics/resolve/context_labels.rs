//! The labels of Hubble's `labelsContext` as attributes.

use std::borrow::Cow;
use std::net::IpAddr;

use eyepiece_config::{ContextLabel, Naming};
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::lookup::FlowEnd;
use eyepiece_semconv::attribute;

use crate::pipeline::metrics::{Attributes, ContextLabels, LabelSet};

/// Each end's labels with their attributes: the address, then those of its entity in their order.
const ENDS: [[(ContextLabel, &str); 6]; 2] = [
    [
        (ContextLabel::SourceIp, attribute::SOURCE_ADDRESS),
        (ContextLabel::SourcePod, attribute::SOURCE_K8S_POD_NAME),
        (ContextLabel::SourceNamespace, attribute::SOURCE_K8S_NAMESPACE_NAME),
        (ContextLabel::SourceWorkload, attribute::HUBBLE_SOURCE_WORKLOAD_NAME),
        (ContextLabel::SourceWorkloadKind, attribute::HUBBLE_SOURCE_WORKLOAD_KIND),
        (ContextLabel::SourceApp, attribute::HUBBLE_SOURCE_APP),
    ],
    [
        (ContextLabel::DestinationIp, attribute::DESTINATION_ADDRESS),
        (ContextLabel::DestinationPod, attribute::DESTINATION_K8S_POD_NAME),
        (ContextLabel::DestinationNamespace, attribute::DESTINATION_K8S_NAMESPACE_NAME),
        (ContextLabel::DestinationWorkload, attribute::HUBBLE_DESTINATION_WORKLOAD_NAME),
        (ContextLabel::DestinationWorkloadKind, attribute::HUBBLE_DESTINATION_WORKLOAD_KIND),
        (ContextLabel::DestinationApp, attribute::HUBBLE_DESTINATION_APP),
    ],
];

/// Returns the labels of a series, with the texts of symbols. A label without a value is the empty text.
pub(super) fn attributes<'a>(
    labels: LabelSet,
    values: &ContextLabels,
    text: impl Fn(Symbol) -> &'a str,
    naming: Naming,
) -> Attributes {
    let mut list = Vec::with_capacity(6);
    if labels.is_empty() {
        return list;
    }
    let mut add = |(label, attribute): (ContextLabel, &'static str), text: Cow<'static, str>| {
        if labels.has(label) {
            list.push((if naming == Naming::Hubble { label.name() } else { attribute }, text));
        }
    };
    for (end, joined, address, [of_address, of_entity @ ..]) in [
        (FlowEnd::Source, values.source, values.source_address, ENDS[0]),
        (FlowEnd::Destination, values.destination, values.destination_address, ENDS[1]),
    ] {
        add(of_address, address.map(address_text).unwrap_or_default().into());
        let texts = labels.of_entity(end).split(text(joined));
        of_entity.into_iter().zip(texts).for_each(|(label, text)| add(label, text.to_owned().into()));
    }
    let direction = values.direction.label();
    add((ContextLabel::TrafficDirection, attribute::HUBBLE_TRAFFIC_DIRECTION), direction.into());
    list
}

/// The text as Go and so Hubble prints it: of an IPv4-mapped address that of IPv4.
pub(super) fn address_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}
