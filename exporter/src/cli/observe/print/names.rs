//! Names of the API's numbers that differ between Hubble's command line and the protobuf files.

use std::borrow::Cow;

use eyepiece_flow::names;

/// Types of monitor events (Cilium `pkg/monitor/api`).
const EVENT_TYPES: [(&str, i32); 9] = [
    ("drop", DROP),
    ("debug", 2),
    ("capture", CAPTURE),
    ("trace", TRACE),
    ("policy-verdict", POLICY_VERDICT),
    ("recorder", 6),
    ("trace-sock", SOCK),
    ("l7", 129),
    ("agent", 130),
];

pub(super) const DROP: i32 = 1;
pub(super) const CAPTURE: i32 = 3;
pub(super) const TRACE: i32 = 4;
pub(super) const POLICY_VERDICT: i32 = 5;
pub(super) const SOCK: i32 = 7;

/// The highest reserved identity.
const MAX_RESERVED: u32 = 10;

/// The number of an event type's name.
pub fn event_type(name: &str) -> Option<i32> {
    EVENT_TYPES.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
}

/// The number of an observation point's name, as the subtype of a trace.
pub fn observation_point(name: &str) -> Option<u8> {
    (0..=u8::MAX).find(|&point| names::observation_point_text(point) == Some(name))
}

/// The number of a reserved identity's name.
pub fn identity(name: &str) -> Option<u32> {
    (0..=MAX_RESERVED).find(|&number| identity_name(number) == Some(name))
}

/// Names of the reserved identities.
pub fn identity_names() -> impl Iterator<Item = &'static str> {
    (0..=MAX_RESERVED).filter_map(identity_name)
}

/// The name of a reserved identity; 0 stands for unknown.
fn identity_name(number: u32) -> Option<&'static str> {
    if number == 0 { Some("unknown") } else { names::reserved_identity_name(number) }
}

pub(super) fn identity_text(number: u32) -> String {
    match identity_name(number) {
        Some(name) => format!("({name})"),
        None => format!("(ID:{number})"),
    }
}

/// The subtype of a trace.
pub(super) fn trace(sub_type: i32) -> Cow<'static, str> {
    // One byte in the datapath and in Hubble's command line.
    let point = sub_type as u8;
    names::observation_point_text(point).map_or_else(|| point.to_string().into(), Cow::Borrowed)
}

/// The subtype of a drop; a code without a text is followed by its extension in Cilium's table, 0.
pub(super) fn drop_reason(sub_type: i32) -> Cow<'static, str> {
    let reason = u32::from(sub_type as u8);
    names::drop_reason_text(reason).map_or_else(|| format!("{reason}, 0").into(), Cow::Borrowed)
}

pub(super) const fn policy_match(number: u32) -> &'static str {
    match number {
        0 => "none",
        1 => "L3-Only",
        2 => "L3-L4",
        3 => "L4-Only",
        4 => "all",
        5 => "L3-Proto",
        6 => "Proto-Only",
        _ => "unknown",
    }
}

pub(super) const fn translation_point(number: i32) -> Option<&'static str> {
    match number {
        1 => Some("pre-xlate-fwd"),
        2 => Some("post-xlate-fwd"),
        3 => Some("pre-xlate-rev"),
        4 => Some("post-xlate-rev"),
        _ => None,
    }
}

/// The name of an enum's number, or the number if it has none: the enums are open.
macro_rules! enum_name {
    ($type:ty, $number:expr) => {{
        let number: i32 = $number;
        match <$type>::try_from(number) {
            Ok(known) => std::borrow::Cow::Borrowed(known.as_str_name()),
            Err(_) => std::borrow::Cow::Owned(number.to_string()),
        }
    }};
}
pub(super) use enum_name;
