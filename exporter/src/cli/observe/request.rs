//! Builds requests from flags.

use std::time::{SystemTime, UNIX_EPOCH};

use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::observer::get_flows_request::Experimental;
use eyepiece_hubble::proto::observer::{GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest};
use eyepiece_hubble::{extension, json};
use prost_types::{FieldMask, Timestamp};

use super::args::{FlowFlags, Selectors};
use super::error::ObserveError;
use super::filters::{self, Filters};
use super::print::Output;
use super::when;
use crate::cli::output;

/// The default of `--last`.
const LAST: u64 = 20;

/// The fields that the texts are made of, of each end and of the flow. Servers know all of them since 1.15, and refuse a
/// mask with an unknown field.
const SHOWN_OF_ENDS: [&str; 3] = ["identity", "namespace", "pod_name"];
const SHOWN: [&str; 21] = [
    "time",
    "source_service",
    "destination_service",
    "source_names",
    "destination_names",
    "l4",
    "IP",
    "ethernet",
    "l7",
    "Type",
    "node_name",
    "is_reply",
    "event_type",
    "verdict",
    "Summary",
    "auth_type",
    "policy_match_type",
    "traffic_direction",
    "debug_capture_point",
    "sock_xlate_point",
    "extensions",
];

/// The range of messages, of any kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range {
    pub(super) number: u64,
    pub(super) first: bool,
    pub(super) follow: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Range {
    /// Without flags, `is_file` selects all of a file.
    pub(super) fn new(flags: &Selectors, now: SystemTime, is_file: bool) -> Result<Self, ObserveError> {
        let usage = |text: &str| Err(ObserveError::Usage(text.to_owned()));
        let is_first = flags.first > 0;
        if is_first && flags.last > 0 {
            return usage("--first and --last can't be combined");
        }
        if is_first && flags.follow {
            return usage("--first and --follow can't be combined");
        }
        let now = now.duration_since(UNIX_EPOCH).map(|since| since.as_nanos() as i128).unwrap_or_default();
        let time = |name: &str, text: &Option<String>| {
            let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
            let time = when::parse(text, now);
            let wrong = || {
                ObserveError::Usage(format!(
                    "--{name}: {text:?} is no time: write an age such as 5m, or 2006-01-02T15:04:05Z"
                ))
            };
            time.map(Some).ok_or_else(wrong)
        };
        let since = time("since", &flags.since)?;
        // --follow ignores the end, but not an invalid time.
        let until = time("until", &flags.until)?.filter(|_| !flags.follow);
        let is_open = since.is_none() && until.is_none();
        let number = match flags {
            Selectors { first, .. } if *first > 0 => *first,
            Selectors { all: true, .. } if is_open => u64::MAX,
            Selectors { last: 0, follow: false, .. } if is_open && !is_file => LAST,
            Selectors { last, .. } => *last,
        };
        Ok(Self { number, first: is_first, follow: flags.follow, since, until })
    }

    pub(super) fn agent_events(self) -> GetAgentEventsRequest {
        let Self { number, first, follow, since, until } = self;
        GetAgentEventsRequest { number, first, follow, since, until }
    }

    pub(super) fn debug_events(self) -> GetDebugEventsRequest {
        let Self { number, first, follow, since, until } = self;
        GetDebugEventsRequest { number, first, follow, since, until }
    }
}

/// Rejects a table of an endless stream.
pub(super) fn check_table(follow: bool, form: Output) -> Result<(), ObserveError> {
    if follow && form == Output::Table {
        let wrong = "-o table is written at the end, and --follow has none: take compact or dict";
        return Err(ObserveError::Usage(wrong.to_owned()));
    }
    Ok(())
}

pub(super) fn flows(flags: &FlowFlags, now: SystemTime) -> Result<GetFlowsRequest, ObserveError> {
    let Range { number, first, follow, since, until } =
        Range::new(&flags.select, now, flags.other.input_file.is_some())?;
    check_table(follow, flags.format.output)?;
    let Filters { mut allow, mut deny, kernel_reasons } =
        filters::build(&flags.filters).map_err(ObserveError::Usage)?;
    if let Some(note) = filters::note(&kernel_reasons) {
        output::print_error(&format!("eyepiece: {note}"));
    }
    allow.extend(raw("allowlist", &flags.allowlist)?);
    deny.extend(raw("denylist", &flags.denylist)?);
    let mask = mask(flags)?;
    Ok(GetFlowsRequest {
        number,
        first,
        follow,
        since,
        until,
        whitelist: allow,
        blacklist: deny,
        // Servers up to 1.15 read the second field, later ones the first; each ignores the other.
        field_mask: mask.clone(),
        experimental: mask.map(|mask| Experimental { field_mask: Some(mask) }),
        // JSON stays what Hubble's own command line prints.
        extensions: (flags.format.output != Output::Json).then(extension::request),
    })
}

fn mask(flags: &FlowFlags) -> Result<Option<FieldMask>, ObserveError> {
    let is_json = flags.format.output == Output::Json;
    let paths: Vec<String> = match flags.field_mask.as_slice() {
        [] if flags.use_default_field_masks && !is_json => {
            let policies = ["egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by"];
            let policies = policies.into_iter().filter(|_| flags.flow_format.print_policy_names);
            let ends = ["source", "destination"].into_iter();
            let ends = ends.flat_map(|end| SHOWN_OF_ENDS.map(|field| format!("{end}.{field}")));
            SHOWN.into_iter().chain(policies).map(ToOwned::to_owned).chain(ends).collect()
        }
        [] => return Ok(None),
        _ if !is_json => {
            return Err(ObserveError::Usage(
                "--field-mask is for -o json: the other forms would print what is not sent as empty".to_owned(),
            ));
        }
        paths => paths.to_vec(),
    };
    Ok(Some(FieldMask { paths }))
}

fn raw(flag: &str, texts: &[String]) -> Result<Vec<FlowFilter>, ObserveError> {
    let mut filters = Vec::new();
    for text in texts {
        let wrong = |error| ObserveError::Usage(format!("--{flag}: {text:?} is no flow.FlowFilter in JSON: {error}"));
        filters.extend(json::read_all::<FlowFilter>(text, true).map_err(wrong)?);
    }
    Ok(filters)
}

/// The filters as YAML, for the configuration file of Hubble's command line.
pub(super) fn yaml(request: &GetFlowsRequest) -> String {
    let mut out = String::new();
    for (name, filters) in [("allowlist", &request.whitelist), ("denylist", &request.blacklist)] {
        if filters.is_empty() {
            continue;
        }
        out.push_str(name);
        out.push_str(":\n");
        for filter in filters {
            let mut text = String::new();
            if json::write(filter, &mut text).is_ok() {
                out.push_str(&format!("    - '{}'\n", text.replace('\'', "''")));
            }
        }
    }
    if out.is_empty() { "{}\n".to_owned() } else { out }
}
