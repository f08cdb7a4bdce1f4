//! Events of the agent and debug messages.

use eyepiece::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress, Timestamp};
use eyepiece::debug_event::DebugEvent;
use eyepiece::parser::debug;
use serde_json::Value;

use super::{Object, insert, list, long, named, number, text};

pub(super) fn debug(event: &DebugEvent) -> Value {
    let mut out = Object::new();
    let name = debug::name(event.kind).map(|name| format!("DBG_{name}"));
    named(&mut out, "type", event.kind.into(), name.as_deref());
    if event.source.endpoint != 0 {
        out.insert("source".into(), super::end(&event.source, &[]));
    }
    for (key, value) in [("hash", event.hash), ("arg1", event.arg1), ("arg2", event.arg2), ("arg3", event.arg3)] {
        out.insert(key.into(), value.into());
    }
    out.insert("cpu".into(), event.cpu.into());
    let mut message = String::new();
    debug::write(event, &mut |_, _| Ok(()), &mut message).expect("a String takes every text");
    text(&mut out, "message", &message);
    out.into()
}

pub(super) fn agent(event: &AgentEvent) -> Value {
    let mut out = Object::new();
    insert(&mut out, "type", (event.kind != AgentEventKind::Unknown).then(|| event.kind.name().into()));
    let (key, notification) = notification(&event.notification);
    out.insert(key.into(), notification.into());
    out.into()
}

fn texts(out: &mut Object, key: &str, values: &[String]) {
    list(out, key, values.iter().map(|value| value.as_str().into()));
}

fn notification(notification: &Notification) -> (&'static str, Object) {
    let mut out = Object::new();
    let key = match notification {
        Notification::Unknown { kind, notification } => {
            text(&mut out, "type", &kind.to_string());
            text(&mut out, "notification", notification);
            "unknown"
        }
        Notification::AgentStart { time } => {
            insert(&mut out, "time", time.map(|time| rfc3339(time).into()));
            "agent_start"
        }
        Notification::Policy { labels, revision, rule_count } => {
            texts(&mut out, "labels", labels);
            long(&mut out, "revision", *revision);
            insert(&mut out, "rule_count", (*rule_count != 0).then(|| rule_count.to_string().into()));
            "policy_update"
        }
        Notification::EndpointRegenerate { id, labels, error } => {
            long(&mut out, "id", *id);
            texts(&mut out, "labels", labels);
            text(&mut out, "error", error);
            "endpoint_regenerate"
        }
        Notification::EndpointUpdate { id, labels, error, pod_name, namespace } => {
            long(&mut out, "id", *id);
            texts(&mut out, "labels", labels);
            text(&mut out, "error", error);
            text(&mut out, "pod_name", pod_name);
            text(&mut out, "namespace", namespace);
            "endpoint_update"
        }
        Notification::Ipcache { .. } => {
            ipcache(notification, &mut out);
            "ipcache_update"
        }
        Notification::ServiceUpsert { .. } => {
            service(notification, &mut out);
            "service_upsert"
        }
        Notification::ServiceDelete { id } => {
            number(&mut out, "id", *id);
            "service_delete"
        }
    };
    (key, out)
}

fn ipcache(notification: &Notification, out: &mut Object) {
    let Notification::Ipcache { cidr, identity, old_identity, host_ip, old_host_ip, encrypt_key, namespace, pod_name } =
        notification
    else {
        return;
    };
    text(out, "cidr", cidr);
    number(out, "identity", *identity);
    insert(out, "old_identity", old_identity.map(Value::from));
    text(out, "host_ip", host_ip);
    text(out, "old_host_ip", old_host_ip);
    number(out, "encrypt_key", *encrypt_key);
    text(out, "namespace", namespace);
    text(out, "pod_name", pod_name);
}

fn service(notification: &Notification, out: &mut Object) {
    let Notification::ServiceUpsert {
        id,
        frontend,
        backends,
        kind,
        traffic_policy,
        ext_traffic_policy,
        int_traffic_policy,
        name,
        namespace,
    } = notification
    else {
        return;
    };
    number(out, "id", *id);
    out.insert("frontend_address".into(), address(frontend));
    list(out, "backend_addresses", backends.iter().map(address));
    text(out, "type", kind);
    text(out, "traffic_policy", traffic_policy);
    text(out, "ext_traffic_policy", ext_traffic_policy);
    text(out, "int_traffic_policy", int_traffic_policy);
    text(out, "name", name);
    text(out, "namespace", namespace);
}

fn address(address: &ServiceAddress) -> Value {
    let mut out = Object::new();
    text(&mut out, "ip", &address.ip);
    number(&mut out, "port", address.port);
    out.into()
}

/// Protobuf JSON has 0, 3, 6 or 9 digits of a second.
fn rfc3339(time: Timestamp) -> String {
    let Timestamp { seconds, nanos } = time;
    let clock = seconds.rem_euclid(86_400);
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let fraction = match (nanos % 1_000_000, nanos % 1000) {
        _ if nanos == 0 => String::new(),
        (0, _) => format!(".{:03}", nanos / 1_000_000),
        (_, 0) => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    };
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Counts the days up: slow and plain.
fn date(mut days: i64) -> (i64, usize, i64) {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days < 0 {
        year -= 1;
        days += 365 + i64::from(is_leap(year));
    }
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        month += 1;
        if days < length {
            break;
        }
        days -= length;
    }
    (year, month, days + 1)
}
