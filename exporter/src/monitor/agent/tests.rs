//! Who comes and goes, and when reading starts and stops.

use std::io;
use std::sync::{Arc, Mutex};

use super::{Agent, ListenError, Switch};
use crate::monitor::fanout::{Fanout, LISTENERS_MAX};
use crate::telemetry::Telemetry;

#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<&'static str>>>,
    fails: bool,
}

impl Recorder {
    fn agent(&self, telemetry: &Telemetry) -> Agent {
        Agent::new(self.clone(), Fanout::new(telemetry))
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

impl Switch for Recorder {
    fn start(&self) -> io::Result<()> {
        self.calls.lock().unwrap().push("start");
        if self.fails { Err(io::Error::other("no")) } else { Ok(()) }
    }

    fn stop(&self) {
        self.calls.lock().unwrap().push("stop");
    }
}

#[test]
fn the_first_starts_and_the_last_stops() {
    let recorder = Recorder::default();
    let agent = recorder.agent(&Telemetry::default());
    let first = agent.subscribe().unwrap();
    let second = agent.listen(1).unwrap();
    drop(first);
    assert_eq!(recorder.calls(), ["start"]);
    drop(second);
    assert_eq!(recorder.calls(), ["start", "stop"]);
    for _ in 0..1000 {
        drop(agent.listen(1).unwrap());
    }
    assert_eq!((recorder.calls().len(), agent.subscribers()), (2 + 2000, 0));
}

#[test]
fn a_start_that_fails_subscribes_nobody() {
    let recorder = Recorder { fails: true, ..Recorder::default() };
    let telemetry = Telemetry::default();
    let agent = recorder.agent(&telemetry);
    let before = telemetry.samples();
    assert!(agent.subscribe().is_err());
    assert!(matches!(agent.listen(1), Err(ListenError::Start { .. })));
    assert_eq!(agent.subscribers(), 0);
    assert_eq!(recorder.calls(), ["start", "start"]);
    assert_eq!(telemetry.samples(), before);
}

#[test]
fn listeners_are_bounded_and_leave_no_numbers() {
    let telemetry = Telemetry::default();
    let agent = Recorder::default().agent(&telemetry);
    let before = telemetry.samples();
    let mut listeners: Vec<_> = (0..LISTENERS_MAX).map(|_| agent.listen(7).unwrap()).collect();
    assert!(matches!(agent.listen(7), Err(ListenError::Full)));
    assert_eq!((agent.subscribers(), telemetry.samples().len()), (LISTENERS_MAX, before.len() + 3 * LISTENERS_MAX));
    drop(listeners.remove(3));
    let again = agent.listen(7).unwrap();
    assert_eq!(again.slot(), 3);
    drop((listeners, again));
    assert_eq!((agent.subscribers(), telemetry.samples()), (0, before));
}
