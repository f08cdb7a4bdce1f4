//! Events as both observers are fed them: our record, and the protobuf message for Cilium's.

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::flow::{EVENT_DROP, EVENT_TRACE, End, EventType, Flow, Verdict};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::proto::flow;
use eyepiece_hubble::proto::flow::LostEventSource;
use eyepiece_hubble::proto::observer::ExportEvent;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use prost_types::Timestamp;

/// Time of the first event, s since the Unix epoch.
pub(crate) const START: i64 = 1_700_000_000;
/// Kind: a flow; every third is a drop.
pub(crate) const FLOW: u8 = 0;
/// Kind: a notification of the agent.
pub(crate) const AGENT: u8 = 1;
/// Kind: a debug message.
pub(crate) const DEBUG: u8 = 2;
/// Kind: a loss.
pub(crate) const LOST: u8 = 3;

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) kind: u8,
    /// Its number: of all that are ever fed to a pair of servers.
    pub(crate) number: u64,
    /// s since the Unix epoch.
    pub(crate) time: i64,
}

/// Events of these kinds, a second apart.
pub(crate) fn items(kinds: &[u8]) -> Vec<Item> {
    let item = |(number, &kind)| Item { kind, number: number as u64, time: START + number as i64 };
    kinds.iter().enumerate().map(item).collect()
}

/// The same, but every fifth happened three seconds before.
pub(crate) fn shuffled(kinds: &[u8]) -> Vec<Item> {
    let mut items = items(kinds);
    items.iter_mut().filter(|item| item.number % 5 == 4).for_each(|item| item.time -= 3);
    items
}

impl Item {
    fn is_drop(self) -> bool {
        self.number.is_multiple_of(3)
    }

    /// The item as our server's ring takes it.
    pub(crate) fn observed(self) -> Observed {
        let time = self.time as u64 * 1_000_000_000;
        match self.kind {
            FLOW => {
                let kind = if self.is_drop() { EVENT_DROP } else { EVENT_TRACE };
                let mut flow = Flow::empty(EventType { kind, subtype: 0 });
                flow.time = time;
                flow.uuid = (u128::from(self.number) + 1).to_be_bytes();
                flow.verdict = if self.is_drop() { Verdict::Dropped } else { Verdict::Forwarded };
                Observed::Flow(flow)
            }
            AGENT => Observed::Agent(Box::new(AgentEvent {
                time,
                uuid: [0; 16],
                kind: AgentEventKind::AgentStarted,
                notification: Notification::AgentStart { time: None },
            })),
            DEBUG => Observed::Debug(Box::new(DebugEvent {
                time,
                uuid: [0; 16],
                cpu: 3,
                kind: 1,
                source: End::default(),
                hash: self.number as u32,
                arg1: 0,
                arg2: 0,
                arg3: 0,
            })),
            LOST => {
                Observed::Lost(Lost { source: LostSource::KernelBuffer, cpu: Some(2), count: self.number + 1, time })
            }
            other => panic!("kind {other}"),
        }
    }

    /// The item as Cilium's server takes it.
    pub(crate) fn export(self) -> ExportEvent {
        let time = Some(Timestamp { seconds: self.time, nanos: 0 });
        let response_types = match self.kind {
            FLOW => {
                let verdict = if self.is_drop() { flow::Verdict::Dropped } else { flow::Verdict::Forwarded };
                let hex = format!("{:032x}", u128::from(self.number) + 1);
                let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
                ResponseTypes::Flow(flow::Flow {
                    time,
                    uuid,
                    verdict: verdict.into(),
                    event_type: Some(flow::CiliumEventType {
                        r#type: i32::from(if self.is_drop() { EVENT_DROP } else { EVENT_TRACE }),
                        sub_type: 0,
                    }),
                    node_name: "node".to_owned(),
                    ..flow::Flow::default()
                })
            }
            AGENT => ResponseTypes::AgentEvent(flow::AgentEvent {
                r#type: flow::AgentEventType::AgentStarted.into(),
                notification: Some(flow::agent_event::Notification::AgentStart(flow::TimeNotification { time: None })),
            }),
            DEBUG => ResponseTypes::DebugEvent(flow::DebugEvent {
                r#type: flow::DebugEventType::DbgGeneric.into(),
                hash: Some(self.number as u32),
                cpu: Some(3),
                ..flow::DebugEvent::default()
            }),
            LOST => ResponseTypes::LostEvents(flow::LostEvent {
                source: LostEventSource::PerfEventRingBuffer.into(),
                num_events_lost: self.number + 1,
                cpu: Some(2),
                ..flow::LostEvent::default()
            }),
            other => panic!("kind {other}"),
        };
        ExportEvent { node_name: "node".to_owned(), time, response_types: Some(response_types) }
    }
}

/// The uuid of what is written so that Cilium's ring shows the event before.
pub(crate) fn hidden_uuid() -> String {
    match HIDDEN.export().response_types {
        Some(ResponseTypes::Flow(flow)) => flow.uuid,
        other => panic!("{other:?}"),
    }
}

/// It happened before everything, so that it ends no answer.
pub(crate) const HIDDEN: Item = Item { kind: FLOW, number: u32::MAX as u64, time: START };
