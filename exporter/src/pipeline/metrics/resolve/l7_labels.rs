//! The labels of metrics of layer 7, whose values a series has as one joined text.

use std::borrow::Cow;

use eyepiece_semconv::attribute;

use super::label::Label;
use crate::pipeline::metrics::MetricKind;
use crate::support::joined_text;

const RCODE: Label = Label::new(attribute::HUBBLE_DNS_RCODE);
const QTYPES: Label = Label::new(attribute::HUBBLE_DNS_QTYPES);
const IPS_RETURNED: Label = Label::new(attribute::HUBBLE_DNS_IPS_RETURNED);
const RRTYPE: Label = Label::new(attribute::HUBBLE_DNS_RRTYPE);
const QUERY: Label = Label::new(attribute::DNS_QUESTION_NAME);
const METHOD: Label = Label::new(attribute::HTTP_REQUEST_METHOD);
const PROTOCOL: Label = Label::new(attribute::HUBBLE_HTTP_PROTOCOL);
const STATUS: Label = Label::new(attribute::HTTP_RESPONSE_STATUS_CODE);
const REPORTER: Label = Label::new(attribute::HUBBLE_REPORTER);

/// Returns the labels of a metric with the values of a joined text.
pub(super) fn texts(kind: MetricKind, joined: &str) -> Vec<(Label, Cow<'static, str>)> {
    let values: Vec<&str> = joined_text::split(joined).collect();
    let labels: &[Label] = match (kind, values.len()) {
        (MetricKind::DnsQueries | MetricKind::DnsResponses, _) => &[RCODE, QTYPES, IPS_RETURNED, QUERY],
        (MetricKind::DnsResponseTypes, _) => &[RRTYPE, QTYPES, QUERY],
        (MetricKind::HttpRequests, 3) => &[METHOD, PROTOCOL, REPORTER],
        (MetricKind::HttpRequests | MetricKind::HttpResponses, _) => &[METHOD, PROTOCOL, STATUS, REPORTER],
        _ => &[METHOD, REPORTER],
    };
    labels.iter().zip(values).map(|(label, value)| (*label, value.to_owned().into())).collect()
}
