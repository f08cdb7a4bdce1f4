//! The target of a control group's owner: a container, a pod, or an entity of this machine.

use std::sync::Arc;

use eyepiece_flow::control_group::Owner;
use eyepiece_flow::metadata::{EndMetadata, Workload};
use eyepiece_semconv::attribute;
use eyepiece_wire::{Process, process_number};

use super::process;
use crate::metadata::IDENTITY_HOST;
use crate::metadata::provider::{Entity, EntityKind, Key, Target};

/// The namespace of units and processes.
const HOST: &str = "host";

/// Returns the target of an owner; `None` if the path names nothing.
pub(super) fn of_owner(owner: &Owner<'_>) -> Option<Target> {
    match owner {
        Owner::Other => None,
        Owner::Unit { name, user } => Some(Target::Entity(Arc::new(unit(name, *user)))),
        Owner::Pod(uid) | Owner::Container { pod: Some(uid), .. } => Some(Target::Key(Key::Pod(uid.as_ref().into()))),
        Owner::Container { id, pod: None } => Some(Target::Key(Key::Container((*id).into()))),
    }
}

fn unit(name: &str, user: Option<u32>) -> Entity {
    let labels = std::iter::once(format!("host:unit={name}")).chain(user.map(|user| format!("host:user={user}")));
    let mut attributes: Vec<(_, Arc<str>)> = vec![(attribute::SYSTEMD_UNIT_NAME, name.into())];
    attributes.extend(user.map(|user| (attribute::USER_ID, user.to_string().into())));
    Entity { kind: EntityKind::Unit, attributes, ..on_host(name, labels.collect()) }
}

/// A process outside of units and containers; `None` if it ended.
pub(super) fn of_process(id: u32) -> Option<Target> {
    Some(named_process(id, process::name(id)?))
}

/// A process by the name of its command, which the kernel has of a process that ended too.
pub(super) fn of_command(process: &Process) -> Target {
    let length = process.command.iter().position(|byte| *byte == 0).unwrap_or(process.command.len());
    let name = String::from_utf8_lossy(&process.command[..length]).into_owned();
    named_process(process_number(process.id), name)
}

fn named_process(id: u32, name: String) -> Target {
    let labels = vec![format!("host:process={name}")];
    let entity = on_host(&name, labels);
    let mut attributes: Vec<(_, Arc<str>)> =
        vec![(attribute::PROCESS_PID, id.to_string().into()), (attribute::PROCESS_EXECUTABLE_NAME, name.into())];
    attributes.extend(process::creation_time(id).map(|time| (attribute::PROCESS_CREATION_TIME, time.into())));
    Target::Entity(Arc::new(Entity { kind: EntityKind::Process, attributes, ..entity }))
}

/// An entity of the machine itself, whose identity is the machine's.
fn on_host(name: &str, labels: Vec<String>) -> Entity {
    let workloads = vec![Workload { name: name.to_owned(), kind: String::new() }];
    let (namespace, pod_name) = (HOST.to_owned(), name.to_owned());
    let metadata = EndMetadata { namespace, pod_name, labels, workloads, ..EndMetadata::default() };
    Entity { name: name.to_owned(), identity: IDENTITY_HOST, ..Entity::of(metadata) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::control_group::Owner;
    use eyepiece_wire::{Process, process_id};

    use super::{of_command, of_owner, of_process};
    use crate::metadata::provider::{EntityKind, Key, Target};

    #[test]
    fn owners_lead_to_keys_or_entities() {
        assert_eq!(of_owner(&Owner::Other), None);
        let (id, uid) = ("c".repeat(64), "1b5e4a3c-0d2f-4e61-8a7b-9c0d1e2f3a4b");
        let container = |pod: Option<&'static str>| Owner::Container { id: &id, pod: pod.map(Into::into) };
        assert_eq!(of_owner(&container(None)), Some(Target::Key(Key::Container(id.as_str().into()))));
        for owner in [container(Some(uid)), Owner::Pod(uid.into())] {
            assert_eq!(of_owner(&owner), Some(Target::Key(Key::Pod(uid.into()))));
        }
        for (user, labels) in
            [(None, vec!["host:unit=a.service"]), (Some(7), vec!["host:unit=a.service", "host:user=7"])]
        {
            let Some(Target::Entity(entity)) = of_owner(&Owner::Unit { name: "a.service", user }) else { panic!() };
            assert_eq!((entity.kind, entity.name.as_str(), entity.identity), (EntityKind::Unit, "a.service", 1));
            assert_eq!(entity.metadata.labels, labels);
            assert_eq!((entity.metadata.namespace.as_str(), &*entity.pod_name), ("host", "a.service"));
            assert_eq!(entity.metadata.workloads[0].name, "a.service");
            assert_eq!(entity.attributes.len(), labels.len(), "name and user: {:?}", entity.attributes);
        }
        let own = std::process::id();
        let Some(Target::Entity(entity)) = of_process(own) else { panic!() };
        let program = std::env::current_exe().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!((entity.kind, entity.name.as_str()), (EntityKind::Process, program.as_str()));
        let expected: [(_, Arc<str>); 2] =
            [("process.pid", own.to_string().into()), ("process.executable.name", program.into())];
        assert_eq!(entity.attributes[..2], expected);
        assert_eq!(entity.attributes[2].0, "process.creation.time");
        assert_eq!(of_process(u32::MAX), None, "ended");
    }

    #[test]
    fn command_names_process() {
        for (command, name) in [
            (*b"curl\0\0\0\0\0\0\0\0\0\0\0\0", "curl"),
            (*b"sixteen letters!", "sixteen letters!"),
            (*b"\xff\0rest of memory", "\u{fffd}"),
            ([0; 16], ""),
        ] {
            let process = Process { id: process_id(4711, 1 << 30), command };
            let Target::Entity(entity) = of_command(&process) else { panic!() };
            assert_eq!((entity.kind, entity.name.as_str(), entity.identity), (EntityKind::Process, name, 1));
            let (key, value) = &entity.attributes[0];
            assert_eq!((*key, &**value), ("process.pid", "4711"));
        }
    }
}
