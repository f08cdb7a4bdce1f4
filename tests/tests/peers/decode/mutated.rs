//! Nearly valid payloads: their headers against Cilium 1.15's own parser, and their packets, of every release's
//! notifications, against the library that Cilium 1.20's parser decodes them by.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::Result;
use eyepiece_flow::cilium_release::{Producer, Release};
use eyepiece_flow::decode as decoder;
use eyepiece_flow::decode::Pairing;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::record::Observed;
use eyepiece_tests::harness::{NAME, pipe_through, write_frame};
use eyepiece_tests::needs_peers;
use serde_json::Value;

use super::mutate::Mutator;
use super::{compare, decode};
use eyepiece_tests::reference::deviation::{DEVIATIONS, Row};
use eyepiece_tests::reference::json;

/// The number of payloads, unless `EYEPIECE_DECODE_ROWS` has another.
const ROWS: usize = 60_000;
/// Payloads that are held in memory.
const CHUNK: usize = 50_000;
/// The peer that decodes packets.
pub(crate) const PACKETS: &str = "packets";
/// The fields of a flow that come from its packet.
const LAYERS: [&str; 5] = ["ethernet", "IP", "l4", "Summary", "tunnel"];

#[test]
fn mutated_payloads_decode_as_upstream() {
    needs_peers!(NAME, PACKETS);
    let mut left = std::env::var("EYEPIECE_DECODE_ROWS").map_or(ROWS, |rows| rows.parse().expect("a number of rows"));
    let mut mutator = Mutator::new(11);
    let mut counts = BTreeMap::<_, usize>::new();
    let mut differences = Vec::new();
    while left > 0 {
        let payloads: Vec<Vec<u8>> = (0..left.min(CHUNK)).map(|_| mutator.payload()).collect();
        left -= payloads.len();
        let whole = answers(NAME, &["parse"], &payloads).expect("flows");
        let packets = answers(PACKETS, &[], &payloads.iter().map(|payload| packet(payload)).collect::<Vec<_>>());
        for ((payload, theirs), layers) in payloads.iter().zip(whole).zip(packets.expect("layers")) {
            let kind = payload.first().copied().unwrap_or(0);
            for (oracle, outcome) in judge(payload, &theirs, &layers) {
                if let Outcome::Differs(text) = &outcome {
                    differences.push(format!("{oracle} {payload:02x?}\n{text}"));
                }
                *counts.entry((oracle, kind.min(8), outcome.word())).or_default() += 1;
            }
        }
    }
    for ((oracle, kind, outcome), count) in &counts {
        eprintln!("{oracle}, type {kind}: {count} {outcome}");
    }
    let shown = differences[..differences.len().min(8)].join("\n");
    assert!(differences.is_empty(), "{} differ:\n{shown}", differences.len());
    for kind in [1, 3, 4, 5] {
        assert!(counts[&(PACKETS, kind, "equal")] > 1000, "type {kind}");
        assert!(counts[&(PACKETS, kind, "found before upstream's error")] > 50, "type {kind}");
    }
    for reason in DEVIATIONS.iter().filter(|deviation| deviation.of_packets).map(|deviation| deviation.reason) {
        assert!(counts.keys().any(|(_, _, outcome)| *outcome == reason), "no row needs it: {reason}");
    }
}

/// Returns a peer's answers to frames: a line of JSON to each.
pub(crate) fn answers(peer: &str, arguments: &[&str], frames: &[Vec<u8>]) -> Result<Vec<Value>> {
    let write = |out: &mut _| frames.iter().try_for_each(|frame| write_frame(out, frame));
    let read = |input: &mut _| {
        let mut lines = String::new();
        Read::read_to_string(input, &mut lines)?;
        Ok(lines)
    };
    let lines = pipe_through(peer, arguments, write, read)?;
    let answers: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(answers.len(), frames.len(), "answers of {peer}");
    Ok(answers)
}

/// The comparison of a row with an oracle.
enum Outcome {
    /// Both agree.
    Right(&'static str),
    /// Not as it should.
    Differs(String),
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Right(word) => word,
            Self::Differs(_) => "differs",
        }
    }
}

/// Compares with each oracle that knows such payloads.
fn judge(payload: &[u8], theirs: &Value, layers: &Value) -> Vec<(&'static str, Outcome)> {
    match payload.first() {
        Some(130) => vec![("agent", agent(payload, theirs))],
        Some(1 | 3 | 4 | 5) => vec![(PACKETS, against_layers(payload, layers)), (NAME, against_1_15(payload, theirs))],
        // Other values of the agent are gob, which has separate tests.
        Some(128..) => Vec::new(),
        _ => vec![(NAME, against_1_15(payload, theirs))],
    }
}

/// Returns the packet's offset in a payload, and the flags that it is decoded by; none if the header is refused. By the
/// contract with Cilium's datapath, 1.20 and before.
fn header(payload: &[u8]) -> Option<(usize, u8)> {
    let version = payload.get(14)?;
    let (length, flags) = match (payload[0], version) {
        (1, 0 | 1) => (36, 0),
        (1, 2) => (40, *payload.get(36)?),
        (1, 3) => (48, *payload.get(36)?),
        (3, _) => (24, 0),
        (4, 0) => (32, *payload.get(27)?),
        (4, 1) => (48, *payload.get(27)?),
        (4, 2) => (56, *payload.get(27)?),
        (5, _) => {
            let flags = *payload.get(27)?;
            let is_old = payload.len() >= 40 && (32..40).contains(&payload.len().wrapping_sub(captured(payload)));
            (if is_old { 32 } else { 40 }, flags >> 2 & 1 | flags >> 7 << 1)
        }
        _ => return None,
    };
    (payload.len() >= length).then_some((length, flags & 0x0f))
}

fn captured(payload: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([payload[12], payload[13]]))
}

/// Returns the flags and the packet of a payload; only flags without a packet.
fn packet(payload: &[u8]) -> Vec<u8> {
    let Some((length, flags)) = header(payload) else { return vec![0] };
    let packet = &payload[length..];
    [&[flags], &packet[..packet.len().min(captured(payload))]].concat()
}

fn against_layers(payload: &[u8], theirs: &Value) -> Outcome {
    let event = RawEvent { time: 0, cpu: 0, data: payload, traffic: None, kernel_drop: None };
    let observed = match decoder::decode(&event, Producer::default(), &mut Pairing::new(1)) {
        Ok(observed) if header(payload).is_some() => observed,
        Err(_) if header(payload).is_none() => return Outcome::Right("refused"),
        result => return Outcome::Differs(format!("  ours   {result:?}\n  header {:?}", header(payload))),
    };
    let ours = layers(json::observed(&observed));
    let row = Row {
        payload,
        observed: &observed,
        ours: &ours,
        expected: theirs.get("found").unwrap_or(theirs),
        ends_are_known: false,
        instead: &|_| None,
    };
    let is_lost = theirs.get("error").is_some();
    if ours == *theirs {
        return Outcome::Right("equal");
    }
    if is_lost && stands(&ours, row.expected) {
        return Outcome::Right("found before upstream's error");
    }
    match DEVIATIONS.iter().find(|deviation| deviation.of_packets && (deviation.explains)(&row)) {
        Some(deviation) => Outcome::Right(deviation.reason),
        None if is_lost && sees_more(&row, theirs) => Outcome::Right("more than upstream found before its error"),
        None => Outcome::Differs(format!("  ours   {ours}\n  theirs {theirs}")),
    }
}

/// Every layer that upstream found before the error that it loses the event by.
fn stands(ours: &Value, found: &Value) -> bool {
    LAYERS
        .iter()
        .filter(|layer| **layer != "Summary")
        .all(|layer| found.get(layer).is_none_or(|found| ours[layer] == *found))
}

/// Returns whether the error is about options that a flow does not need, or about the layers after a VLAN tag or an
/// extension header.
fn sees_more(row: &Row<'_>, theirs: &Value) -> bool {
    let error = theirs["error"].as_str().unwrap_or_default();
    let is_about_ip = ["IP", "ip4", "ip6", "Jumbo"].iter().any(|part| error.contains(part));
    let is_through = row.observed.flow().is_some_and(|flow| flow.vlan.is_some() || flow.tunnel.is_some());
    let has_ip = row.ours.get("IP").or(row.ours.get("tunnel")).is_some();
    is_about_ip && has_ip || is_through && error.starts_with("overlay: ")
}

/// The fields that come from a packet, without the address before translation: that is the header's.
pub(crate) fn layers(mut flow: Value) -> Value {
    if let Some(ip) = flow.get_mut("IP").and_then(Value::as_object_mut) {
        ip.remove("encrypted");
        if let Some(source) = ip.remove("source_xlated") {
            ip.insert("source".to_owned(), source);
        }
    }
    if let Some(flow) = flow.as_object_mut() {
        flow.retain(|key, _| LAYERS.contains(&key.as_str()));
    }
    flow
}

fn against_1_15(payload: &[u8], theirs: &Value) -> Outcome {
    let ours = decode(payload);
    let text = theirs.to_string();
    match compare(&ours, theirs.clone()) {
        "differs" if is_newer(payload) => return Outcome::Right("newer than 1.15"),
        "differs" => {}
        word => return Outcome::Right(word),
    }
    // The packet's layers are 1.20's, which the other oracle has judged.
    if let (Ok(ours), true) = (&ours, matches!(payload[0], 1 | 3 | 4 | 5)) {
        let without = |flow: &Value| {
            let mut flow = flow.clone();
            if let Some(flow) = flow.as_object_mut() {
                flow.retain(|key, _| !LAYERS.contains(&key.as_str()));
            }
            flow
        };
        if compare(&Ok(without(ours)), without(theirs)) == "equal" {
            return Outcome::Right("equal but for layers of 1.20");
        }
    }
    Outcome::Differs(format!("  ours   {ours:?}\n  theirs {text}"))
}

/// Returns whether a payload has a version, flag, number or type that 1.15 does not know.
fn is_newer(payload: &[u8]) -> bool {
    let at = |index: usize| payload.get(index).copied().unwrap_or(0);
    match at(0) {
        1 => at(14) > 1,
        2 => at(1) > 65,
        // The second byte of its version is another header's from 1.19 on.
        4 => at(14) > 1 || at(15) != 0 || at(27) & !1 != 0 || at(26) & 0x7f > 5 || at(1) > 11,
        5 => !(32..40).contains(&payload.len().wrapping_sub(captured(payload))) || at(27) & 0x80 != 0,
        6 => true,
        _ => false,
    }
}

/// Notifications: 1.15's, what becomes of them from 1.19 on, and what an unknown producer's are.
fn agent(payload: &[u8], theirs: &Value) -> Outcome {
    let event = RawEvent { time: 0, cpu: 0, data: payload, traffic: None, kernel_drop: None };
    let [newest, by_default] = [Producer::from(Release::V1_20), Producer::default()].map(|producer| {
        let observed = decoder::decode(&event, producer, &mut Pairing::new(1));
        observed.map(|observed: Observed| json::observed(&observed)).map_err(|error| error.to_string())
    });
    let ours = decode(payload);
    let is_unknown = |ours: &Result<Value, String>| {
        ours.as_ref().is_ok_and(|ours| matches!(ours["agent_event"]["unknown"]["type"].as_str(), Some("11" | "12")))
    };
    let is_service = |value: &Value| {
        let event = &value["agent_event"];
        event.get("service_upsert").is_some() || event.get("service_delete").is_some()
    };
    // Of an unknown producer, only what nothing but a service's upsert can be differs from 1.20's.
    let is_upsert = by_default.as_ref().is_ok_and(|found| found["agent_event"].get("service_upsert").is_some());
    let is_default_right = by_default == if is_upsert { ours.clone() } else { newest.clone() };
    if !is_default_right {
        return Outcome::Differs(format!("  ours    {ours:?}\n  newest  {newest:?}\n  default {by_default:?}"));
    }
    if is_unknown(&newest) {
        // 1.15 reads any JSON as a service.
        if is_unknown(&ours) && (is_service(theirs) || theirs.get("error").is_some()) {
            return Outcome::Right("no service's text under a service's number");
        }
        if ours.as_ref().is_ok_and(is_service) && compare(&ours, theirs.clone()) == "equal" {
            return Outcome::Right("a service, which 1.20 does not know");
        }
    } else if ours.is_err() && newest.is_err() && theirs.get("error").is_some() {
        return Outcome::Right("refused by both");
    } else if ours == newest && compare(&ours, theirs.clone()) != "differs" {
        return Outcome::Right("equal");
    }
    Outcome::Differs(format!("  ours   {ours:?}\n  newest {newest:?}\n  theirs {theirs}"))
}
