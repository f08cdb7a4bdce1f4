//! Our decoder against Hubble's own parser: each payload gives the same flow or event, as protobuf JSON.

mod generate;
mod mutate;
mod mutated;
mod notices;
mod packets;
mod reference;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;

use anyhow::ensure;
use eyepiece_flow::cilium_release::{Producer, Release};
use eyepiece_flow::decode;
use eyepiece_flow::decode::Pairing;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::record::Observed;
use eyepiece_tests::harness::{NAME, pipe, read_frame, write_frame};
use eyepiece_tests::needs_peers;
use eyepiece_tests::reference::json;
use serde_json::Value;

use generate::Generator;

/// Payloads of the datapath.
const OF_THE_DATAPATH: usize = 130_000;
/// Events of the agent (every fourth) and access-log records.
const OF_THE_AGENT: usize = 80_000;

#[test]
fn payloads_decode_as_hubble() {
    needs_peers!(NAME);
    let mut generator = Generator::new(1);
    let mut payloads: Vec<Vec<u8>> = (0..OF_THE_DATAPATH).map(|_| generator.payload()).collect();
    payloads.extend(values());
    assert_eq!(payloads.len(), OF_THE_DATAPATH + OF_THE_AGENT);
    let write = |out: &mut _| payloads.iter().try_for_each(|payload| write_frame(out, payload));
    let read = |input: &mut _| {
        let mut lines = String::new();
        Read::read_to_string(input, &mut lines)?;
        Ok(lines)
    };
    let lines = pipe(&["parse"], write, read).expect("lines of JSON");
    assert_eq!(lines.lines().count(), payloads.len());
    let mut counts = BTreeMap::new();
    let mut differences = Vec::new();
    for (payload, line) in payloads.iter().zip(lines.lines()) {
        let theirs: Value = serde_json::from_str(line).expect("JSON");
        let ours = decode(payload);
        let outcome = compare(&ours, theirs);
        *counts.entry((payload[0], outcome)).or_insert(0) += 1;
        if outcome == "differs" {
            differences.push(format!("{payload:02x?}\n  ours   {ours:?}\n  theirs {line}"));
        }
    }
    for ((kind, outcome), count) in &counts {
        eprintln!("type {kind}: {count} {outcome}");
    }
    let shown = differences[..differences.len().min(5)].join("\n");
    assert!(differences.is_empty(), "{} differ:\n{shown}", differences.len());
    for kind in [1, 2, 3, 4, 5, 7, 129, 130] {
        assert!(counts[&(kind, "equal")] > 5000, "type {kind}");
    }
}

/// Returns access-log records and agent events that Go encoded.
fn values() -> Vec<Vec<u8>> {
    let count = OF_THE_AGENT.to_string();
    let read = |input: &mut _| {
        let (mut values, mut data, mut nature) = (Vec::new(), Vec::new(), Vec::new());
        while read_frame(input, &mut data)? {
            ensure!(read_frame(input, &mut nature)?, "a value without its nature");
            values.push(data.clone());
        }
        Ok(values)
    };
    pipe(&["values", "-seed", "3", "-count", &count], |_| Ok(()), read).expect("values")
}

/// Returns our result or error.
fn decode(data: &[u8]) -> Result<Value, String> {
    let event = RawEvent { time: 0, cpu: 0, data, traffic: None, kernel_drop: None };
    let producer = Producer::from(Release::V1_15);
    // Sockets of unknown control groups are not left out here: the harness has Hubble's option for that off.
    let mut observed = decode::decode(&event, producer, &mut Pairing::new(1)).map_err(|error| error.to_string())?;
    if let Observed::Flow(flow) = &mut observed {
        // 1.15 does not ask whether there was an address before translation.
        flow.original_ip = false;
        flow.direction = decode::direction(flow);
    }
    Ok(json::observed(&observed))
}

/// The beginnings of Hubble's errors about a message, not about the packet in it.
const REFUSALS: [&str; 8] = [
    "failed to parse",
    "empty data",
    "can't decode",
    "event was skipped",
    "gob: ",
    "parsing time",
    "not enough bytes",
    "agent event",
];

fn compare(ours: &Result<Value, String>, mut theirs: Value) -> &'static str {
    match (ours, theirs["error"].as_str()) {
        (Err(_), Some(text)) if REFUSALS.iter().any(|refusal| text.starts_with(refusal)) => "refused by both",
        // They lose the event over a packet that is cut off.
        (Ok(_), Some(text)) if !REFUSALS.iter().any(|refusal| text.starts_with(refusal)) => "lost by Hubble alone",
        (Ok(ours), None) => {
            let mut ours = ours.clone();
            as_1_15(&mut ours);
            as_1_20(&mut theirs);
            if ours == theirs { "equal" } else { "differs" }
        }
        _ => "differs",
    }
}

/// Takes out what 1.15's messages have no field for.
fn as_1_15(ours: &mut Value) {
    let Some(flow) = ours.as_object_mut() else { return };
    for key in ["file", "trace_reason", "ip_trace_id", "tunnel"] {
        flow.remove(key);
    }
    for end in ["source", "destination"] {
        if let Some(end) = flow.get_mut(end).and_then(Value::as_object_mut) {
            end.remove("cluster_name");
        }
    }
    if let Some(ip) = flow.get_mut("IP").and_then(Value::as_object_mut) {
        ip.remove("source_xlated");
    }
    if let Some(sctp) = ours.pointer_mut("/l4/SCTP").and_then(Value::as_object_mut) {
        sctp.remove("chunk_type");
    }
    let new_reason = match ours["drop_reason_desc"].as_str() {
        Some("DROP_NO_EGRESS_IP" | "DROP_PUNT_PROXY" | "DROP_FRAG_NOT_FOUND_WORLD") => {
            Some(ours["drop_reason"].clone())
        }
        _ => None,
    };
    if let Some(reason) = new_reason {
        ours["drop_reason_desc"] = reason;
    }
    for types in ["/l7/dns/qtypes", "/l7/dns/rrtypes"] {
        for name in ours.pointer_mut(types).and_then(Value::as_array_mut).into_iter().flatten() {
            if name == "HTTPS" {
                *name = "Unknown".into();
            }
        }
    }
    if let Some(Value::String(summary)) = ours.get_mut("Summary")
        && summary.starts_with("DNS ")
    {
        *summary = summary.replace("HTTPS", "Unknown");
    }
    if let Some(event) = ours.get_mut("debug_event") {
        without_new_texts(event);
    }
    if ours["debug_event"]["type"] == "DBG_GENERIC"
        && let Some(Value::String(message)) = ours.pointer_mut("/debug_event/message")
    {
        // The third argument came in 1.20.
        message.truncate(message.find(" arg3=").unwrap_or(message.len()));
    }
}

/// Drop reasons whose texts are newer, as a message of connection tracking has them.
fn without_new_texts(event: &mut Value) {
    let code = event["arg1"].as_u64().unwrap_or(0) & 0xff;
    if event["type"] == "DBG_CT_VERDICT"
        && matches!(code, 12..=15 | 204..)
        && let Some(Value::String(message)) = event.get_mut("message")
        && let Some(end) = message.find(", revnat=")
    {
        *message = format!("CT verdict: {code}, 0{}", &message[end..]);
    }
}

/// Words that have changed since 1.15, and what we never print.
fn as_1_20(theirs: &mut Value) {
    if let Some(Value::String(message)) = theirs.pointer_mut("/debug_event/message") {
        *message = message.replace("soliciation", "solicitation").replace("RELATED, OUT", "OUT, RELATED");
    }
    if let Some(Value::String(summary)) = theirs.get_mut("Summary") {
        *summary = summary.replace("Server Failure  ", "Server Failure ").replace(":secret@", ":HUBBLE_REDACTED@");
    }
    if let Some(Value::String(url)) = theirs.pointer_mut("/l7/http/url") {
        *url = url.replace(":secret@", ":HUBBLE_REDACTED@");
    }
    for end in ["/IP/source", "/IP/destination"] {
        // Theirs is the proxy's text as it came; the generator writes `fd00::0`.
        if let Some(Value::String(text)) = theirs.pointer_mut(end)
            && let Ok(address) = text.parse::<IpAddr>()
        {
            *text = address.to_string();
        }
    }
}
