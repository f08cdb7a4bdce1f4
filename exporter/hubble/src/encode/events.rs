//! Encodes the fields of `AgentEvent`, `DebugEvent` and `LostEvent`.

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::labels::EndLabels;
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::{debug_text, text};

use super::field::{open_enum, time, timestamp, wrapped};
use super::flow;
use crate::wire::{message, number, signed, text, texts, written};

/// `first` is the time of the first of these losses, ns since the Unix epoch.
pub(super) fn lost(lost: &Lost, first: u64, out: &mut Vec<u8>) {
    let source = match lost.source {
        LostSource::KernelBuffer => 1,
        LostSource::ObserverQueue => 2,
        LostSource::HubbleRing => 3,
    };
    open_enum(out, 1, source);
    number(out, 2, lost.count);
    match (lost.source, lost.cpu) {
        (LostSource::HubbleRing, _) | (LostSource::KernelBuffer, None) => {}
        // A queue belongs to no CPU; Hubble sends 0.
        (_, cpu) => wrapped(out, 3, cpu.unwrap_or(0).into()),
    }
    if lost.source != LostSource::KernelBuffer {
        time(out, 4, first);
        time(out, 5, lost.time);
    }
}

pub(super) fn debug(event: &DebugEvent, names: &dyn NameLookup, out: &mut Vec<u8>) {
    open_enum(out, 1, event.kind);
    if event.source.endpoint != 0 {
        let entity = names.entity(&event.source);
        flow::end(2, &event.source, entity, EndLabels::of_end(&event.source, entity), out);
    }
    for (field, value) in [(3, event.hash), (4, event.arg1), (5, event.arg2), (6, event.arg3)] {
        wrapped(out, field, value.into());
    }
    written(out, 7, |out| {
        let mut link = |ifindex, out: &mut crate::wire::Text<'_>| {
            let mut name = String::new();
            names.interface(ifindex, &mut name);
            std::fmt::Write::write_str(out, &name)
        };
        // Writing to memory cannot fail.
        debug_text::write(event, &mut link, out).unwrap_or_default();
    });
    wrapped(out, 8, event.cpu.into());
}

pub(super) fn agent(event: &AgentEvent, out: &mut Vec<u8>) {
    open_enum(out, 1, event.kind as u8);
    match &event.notification {
        Notification::Unknown { kind, notification } => message(out, 100, |out| {
            written(out, 1, |out| text::decimal(out, (*kind).into()));
            text(out, 2, notification);
        }),
        Notification::AgentStart { time } => message(out, 101, |out| {
            if let Some(time) = time {
                timestamp(out, 1, *time);
            }
        }),
        Notification::Policy { labels, revision, rule_count } => message(out, 102, |out| {
            texts(out, 1, labels);
            number(out, 2, *revision);
            signed(out, 3, *rule_count);
        }),
        // The API has no field for the interface, and none for the pod where programs were built.
        Notification::Endpoint { id, labels, error, pod_name, namespace, interface: _ } => {
            let is_built = matches!(
                event.kind,
                AgentEventKind::EndpointRegenerateSuccess | AgentEventKind::EndpointRegenerateFailure
            );
            message(out, if is_built { 103 } else { 104 }, |out| {
                number(out, 1, *id);
                texts(out, 2, labels);
                text(out, 3, error);
                if !is_built {
                    text(out, 4, pod_name);
                    text(out, 5, namespace);
                }
            });
        }
        Notification::Ipcache { .. } => message(out, 105, |out| ipcache(&event.notification, out)),
        Notification::ServiceUpsert { .. } => message(out, 106, |out| service(&event.notification, out)),
        Notification::ServiceDelete { id } => message(out, 107, |out| number(out, 1, (*id).into())),
    }
}

fn ipcache(notification: &Notification, out: &mut Vec<u8>) {
    let Notification::Ipcache { cidr, identity, old_identity, host_ip, old_host_ip, encrypt_key, namespace, pod_name } =
        notification
    else {
        return;
    };
    text(out, 1, cidr);
    number(out, 2, (*identity).into());
    if let Some(old) = old_identity {
        wrapped(out, 3, (*old).into());
    }
    text(out, 4, host_ip);
    text(out, 5, old_host_ip);
    number(out, 6, (*encrypt_key).into());
    text(out, 7, namespace);
    text(out, 8, pod_name);
}

fn service(notification: &Notification, out: &mut Vec<u8>) {
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
    number(out, 1, (*id).into());
    address(2, frontend, out);
    for backend in backends {
        address(3, backend, out);
    }
    text(out, 4, kind);
    text(out, 5, traffic_policy);
    text(out, 6, name);
    text(out, 7, namespace);
    text(out, 8, ext_traffic_policy);
    text(out, 9, int_traffic_policy);
}

fn address(field: u32, address: &ServiceAddress, out: &mut Vec<u8>) {
    message(out, field, |out| {
        text(out, 1, &address.ip);
        number(out, 2, address.port.into());
    });
}
