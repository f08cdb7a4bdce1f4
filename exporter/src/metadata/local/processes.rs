//! The processes that connect or listen: named at once by their commands, then by the unit, container or pod they are in.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyepiece_flow::control_group::Owner;
use eyepiece_wire::{MAX_PROCESSES, Process, process_number};
use tokio::sync::mpsc;

use super::{process, targets};
use crate::metadata::intake::Intake;
use crate::metadata::provider::{Change, ChangeReceiver, Key, Provider, Target};
use crate::metadata::registry::Registry;
use crate::support::telemetry::Telemetry;

/// Processes that have ended and keep their names, as their sockets may live on in other processes.
const MAX_ENDED: usize = 1024;
/// Publications in a second for the sake of one process: some 20 µs each on the pipeline's thread. Further processes
/// wait for the registry's own, up to 100 ms.
const MAX_PUBLICATIONS: u32 = 200;

/// Names processes on the pipeline's thread, before the events of their connections.
pub struct ProcessObserver {
    registry: Arc<Registry>,
    intake: Intake<Process>,
    /// Processes with names: after a loss all of them come again.
    known: HashSet<Process>,
    second: Instant,
    publications: u32,
}

impl ProcessObserver {
    /// Creates the observer, and the queue from which [`super::LocalProvider`] takes the processes.
    pub fn new(registry: Arc<Registry>, telemetry: &Telemetry) -> (Self, mpsc::Receiver<Process>) {
        let (intake, processes) = Intake::new(telemetry, "process_queue_full");
        let (known, second) = (HashSet::new(), Instant::now());
        (Self { registry, intake, known, second, publications: 0 }, processes)
    }

    /// Names a process by its command, and publishes the name.
    pub fn observe(&mut self, process: &Process) {
        if self.known.len() >= 2 * MAX_PROCESSES {
            self.known.clear();
        }
        if !self.known.insert(*process) {
            return;
        }
        let registry = &self.registry;
        self.intake.offer_after(*process, || {
            let target = targets::of_command(process);
            registry.apply(Provider::Process, vec![Change::Set(Key::Process(process.id), target)]);
        });
        if self.second.elapsed() >= Duration::from_secs(1) {
            (self.second, self.publications) = (Instant::now(), 0);
        }
        if self.publications < MAX_PUBLICATIONS {
            self.publications += 1;
            self.registry.publish();
        }
    }
}

/// The processes that have names.
#[derive(Debug, Default)]
pub(super) struct Processes {
    running: HashSet<u64>,
    /// The oldest one first.
    ended: VecDeque<u64>,
}

impl Processes {
    pub(super) fn count(&self) -> usize {
        self.running.len() + self.ended.len()
    }

    /// Adds a process, and returns what has it, by its path in any hierarchy of control groups. Returns an error if there
    /// are too many: then the process is to be left without a name.
    pub(super) fn add(&mut self, process: &Process) -> Result<Option<Target>, TooMany> {
        if self.running.len() >= MAX_PROCESSES && !self.running.contains(&process.id) {
            return Err(TooMany);
        }
        self.running.insert(process.id);
        let groups = process::control_groups(process_number(process.id));
        // Read before: the number can be in use again.
        let groups = groups.filter(|_| process::is_running(process.id));
        Ok(groups.and_then(|groups| targets::of_owner(&Owner::of_process(&groups))))
    }

    /// Looks which processes have ended, and returns those that lose their names.
    pub(super) fn scan(&mut self) -> Vec<u64> {
        self.ended.extend(self.running.extract_if(|id| !process::is_running(*id)));
        let surplus = self.ended.len().saturating_sub(MAX_ENDED);
        self.ended.drain(..surplus).collect()
    }
}

/// There are as many processes as are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// Removes the names of processes.
pub(super) fn remove(receiver: &dyn ChangeReceiver, ids: &[u64]) {
    if !ids.is_empty() {
        for provider in [Provider::Local, Provider::Process] {
            receiver.apply(provider, ids.iter().map(|id| Change::Remove(Key::Process(*id))).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use eyepiece_wire::{MAX_PROCESSES, Process, process_id};

    use super::{MAX_ENDED, ProcessObserver, Processes, TooMany};
    use crate::metadata::local::process;
    use crate::metadata::registry::tests::Bench;
    use crate::support::telemetry::Telemetry;

    fn process(id: u64) -> Process {
        Process { id, ..Process::default() }
    }

    #[test]
    fn observed_process_has_name_at_once() {
        let bench = Bench::new();
        let (mut observer, mut processes) = ProcessObserver::new(Arc::clone(&bench.registry), &Telemetry::default());
        let mut reader = bench.publisher.reader();
        let mut observe = |command: &[u8; 4]| {
            let mut process = process(7);
            process.command[..4].copy_from_slice(command);
            observer.observe(&process);
            let link = reader.refresh().entity_of_socket(0, 7).expect("an entity");
            reader.snapshot().entities().name(link.entity).map(ToString::to_string)
        };
        // A process has another command after execve(2); the same one again is nothing new.
        let names = [b"bash", b"bash", b"curl"].map(&mut observe);
        assert_eq!(names.map(Option::unwrap), ["bash", "bash", "curl"]);
        assert!(processes.try_recv().is_ok() && processes.try_recv().is_ok() && processes.try_recv().is_err());
    }

    #[test]
    fn ended_processes_keep_names_for_while() {
        let mut processes = Processes::default();
        let own = process::id_of(std::process::id()).unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let child_id = process::id_of(child.id()).unwrap();
        for id in [own, child_id] {
            assert!(processes.add(&process(id)).is_ok());
        }
        assert_eq!((processes.scan(), processes.running.len()), (vec![], 2));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((processes.scan(), processes.running.len(), processes.count()), (vec![], 1, 2));
        // Numbers that no process has.
        for start in 0..MAX_ENDED as u64 {
            assert!(processes.add(&process(process_id(0x003f_ffff, start << 20))).is_ok());
        }
        assert_eq!(processes.scan(), [child_id], "the oldest one");
        assert_eq!(processes.count(), 1 + MAX_ENDED);
    }

    #[test]
    fn processes_beyond_limit_are_refused() {
        let mut processes = Processes { running: (0..MAX_PROCESSES as u64).collect(), ..Processes::default() };
        assert_eq!(processes.add(&process(u64::MAX)), Err(TooMany));
        assert_eq!(processes.add(&process(7)), Ok(None), "known already, and ended");
    }
}
