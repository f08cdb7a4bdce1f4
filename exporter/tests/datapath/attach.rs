//! Checks that programs attach to the interface of an index, whatever has its name by then.

use std::process::Command;

use eyepiece::source::datapath::attach::{Attacher, Mode, Presences};
use eyepiece::source::datapath::btf::Btf;
use eyepiece::source::datapath::links::filters::{Direction, filters};
use eyepiece::source::datapath::links::requests::Requests;
use eyepiece::source::datapath::links::{Link, LinkEvent, Role};
use eyepiece::source::datapath::object::{Object, ProgramConfig, kernel_is_at_least};
use eyepiece::source::datapath::presence::Presence;
use eyepiece::support::telemetry::Telemetry;

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().expect("ip").success(), "ip {arguments}");
}

fn link(ifindex: u32, name: &str) -> Link {
    Link {
        ifindex,
        generation: 0,
        name: name.to_owned(),
        role: Role::Uplink,
        endpoint: 0,
        endpoint_bridge: false,
        mac: None,
        mtu: 1500,
        l3_device: false,
        peer: None,
        master: None,
        kind: None,
        tunnels: Vec::new(),
    }
}

/// Programs at both sides of an interface.
fn programs(mode: Mode, requests: &mut Requests, ifindex: u32) -> usize {
    match mode {
        // BPF_TCX_INGRESS and BPF_TCX_EGRESS.
        Mode::Tcx => [46, 47].into_iter().map(|side| chain(ifindex, side)).sum(),
        Mode::Clsact => [Direction::Ingress, Direction::Egress]
            .into_iter()
            .map(|side| filters(requests, ifindex, side).expect("filters").len())
            .sum(),
    }
}

/// Programs in a tcx chain; an interface without one is refused.
fn chain(ifindex: u32, side: u32) -> usize {
    // `union bpf_attr` of BPF_PROG_QUERY (16): interface and side, flags, ids, and the count that comes back.
    let mut attributes = [u64::from(ifindex) | u64::from(side) << 32, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: the attributes are plain numbers that live longer than the call, and their length is passed.
    let result = unsafe { libc::syscall(libc::SYS_bpf, 16, attributes.as_mut_ptr(), size_of_val(&attributes)) };
    if result < 0 { 0 } else { (attributes[3] & 0xffff_ffff) as usize }
}

/// An interface is renamed, and another one gets its name, before the programs are attached.
fn renamed(mode: Mode) {
    ip("link add name wanted index 50 type bridge");
    ip("link add name other index 51 type bridge");
    let (synced, _synced) = tokio::sync::oneshot::channel();
    let present = Presences { interfaces: Presence::default(), namespaces: Presence::default() };
    let settings = ProgramConfig { drops: false, max_connections: 16, ..ProgramConfig::default() };
    let object = Object::load(&settings, &Btf::from_kernel().expect("BTF")).expect("programs");
    let mut attacher = Attacher::new(object, mode, present, Telemetry::default(), synced).expect("an attacher");
    // What the watcher read of 50, before the names were given anew.
    attacher.follow(LinkEvent::Appeared(link(50, "wanted")));
    ip("link set wanted name renamed");
    ip("link set other name wanted");
    attacher.follow(LinkEvent::Synced);
    let errors: Vec<_> = attacher.hooks().list().into_iter().filter_map(|(_, hook)| hook.error).collect();
    assert_eq!(errors, ["switched off by datapath.drops"], "{mode:?}");
    let mut requests = Requests::open().expect("netlink");
    let mut at = || [50, 51].map(|ifindex| programs(mode, &mut requests, ifindex));
    assert_eq!(at(), [2, 0], "{mode:?}");
    attacher.follow(LinkEvent::Gone { ifindex: 50, name: "wanted".to_owned() });
    assert_eq!(at(), [0, 0], "{mode:?}");
    ip("link del renamed");
    ip("link del wanted");
}

#[test]
fn renamed_interface_gets_its_programs() {
    let isolated = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).map(|()| {
            renamed(Mode::Clsact);
            if kernel_is_at_least(6, 6) {
                renamed(Mode::Tcx);
            }
        })
    });
    match isolated.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eyepiece_tests::skip!("no network namespace: {error}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
