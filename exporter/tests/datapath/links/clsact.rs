//! Checks that only an earlier run's filters at clsact are removed: with real programs, ours and others'.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

use eyepiece::source::datapath::links::filters::{
    Direction, OwnFilters, filters, remove_empty_clsact, remove_stale, stale_filters,
};
use eyepiece::source::datapath::links::netlink::Request;
use eyepiece::source::datapath::links::requests::Requests;

use super::host::{ip, isolated};

/// A classifier that returns `TC_ACT_UNSPEC`: `r0 = -1; exit`.
fn program() -> OwnedFd {
    let instructions: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let license = c"GPL";
    // `union bpf_attr` of BPF_PROG_LOAD (5): type BPF_PROG_TYPE_SCHED_CLS (3), count, instructions, license.
    let attributes: [u64; 6] = [3 | 2 << 32, instructions.as_ptr() as u64, license.as_ptr() as u64, 0, 0, 0];
    // SAFETY: the attributes point to values that live longer than the call, and their length is passed.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 5, attributes.as_ptr(), size_of_val(&attributes)) };
    assert!(fd >= 0, "BPF_PROG_LOAD: {}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just opened it for us.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) }
}

fn attach(requests: &mut Requests, ifindex: u32, direction: Direction, handle: u32, priority: u16, name: &str) {
    let program = program();
    let options = Request::nested(&[
        (6, &program.as_raw_fd().to_ne_bytes()), // TCA_BPF_FD
        (7, format!("{name}\0").as_bytes()),     // TCA_BPF_NAME
        (8, &1_u32.to_ne_bytes()),               // TCA_BPF_FLAGS: direct action
    ]);
    let info = u32::from(priority) << 16 | u32::from(0x0003_u16.to_be()); // ETH_P_ALL
    let mut fixed = vec![0; 4];
    for value in [ifindex, handle, direction.parent(), info] {
        fixed.extend(value.to_ne_bytes());
    }
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(libc::RTM_NEWTFILTER, flags, &fixed).attribute(1, b"bpf\0").attribute(2, &options);
    requests.list(&request, |_| None::<()>).expect("attached");
}

fn tc(arguments: &str) {
    assert!(Command::new("tc").args(arguments.split(' ')).status().expect("tc").success(), "tc {arguments}");
}

/// Handle, priority and name of all filters at an interface, ingress first.
fn at(requests: &mut Requests, ifindex: u32) -> Vec<(u32, u16, Option<String>)> {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .flat_map(|direction| filters(requests, ifindex, direction).expect("listed"))
        .map(|filter| (filter.handle, filter.priority, filter.name))
        .collect()
}

#[test]
fn only_own_filters_are_removed() {
    isolated(concat!(module_path!(), "::only_own_filters_are_removed"), || {
        use Direction::{Egress, Ingress};
        ip("link add eyl0 type veth peer name eyl1");
        ip("link add bare type bridge");
        tc("qdisc add dev eyl0 clsact");
        tc("qdisc add dev eyl1 clsact");
        let mut requests = Requests::open().unwrap();
        let index = |requests: &mut Requests, name: &str| {
            requests.links().unwrap().into_iter().find(|link| link.name == name).unwrap().ifindex
        };
        let (eyl0, eyl1) = (index(&mut requests, "eyl0"), index(&mut requests, "eyl1"));
        let ours = OwnFilters::default();
        // Foreign ones that have something in common with ours, before and behind; then ours.
        for (ifindex, direction, handle, priority, name) in [
            (eyl0, Ingress, 1, ours.priority, "cil_from_container"),
            (eyl0, Ingress, ours.handle, 7, "eyepiece_from_endpoint"),
            (eyl0, Ingress, 2, ours.priority, "eyepiece_from_endpoint"),
            (eyl0, Egress, ours.handle, ours.priority, "eyepiec"),
            (eyl1, Ingress, ours.handle, ours.priority, "my_eyepiece_"),
            (eyl0, Ingress, ours.handle, ours.priority, "eyepiece_from_endpoint"),
            (eyl1, Egress, ours.handle, ours.priority, "eyepiece_to_endpoint"),
            (eyl0, Ingress, 3, ours.priority, "cil_to_container"),
            (eyl0, Ingress, 1, 2, "cil_from_container"),
        ] {
            attach(&mut requests, ifindex, direction, handle, priority, name);
        }
        let names = |found: Vec<_>| -> Vec<String> {
            found.into_iter().filter_map(|(_, _, name): (u32, u16, Option<String>)| name).collect()
        };
        let before = (at(&mut requests, eyl0), at(&mut requests, eyl1));
        assert_eq!((before.0.len(), before.1.len()), (7, 2));
        assert_eq!(stale_filters(&mut requests, &ours).unwrap().len(), 2);

        let removed = remove_stale(&mut requests, &ours).unwrap();
        let removed: Vec<_> = removed.iter().map(|filter| (filter.ifindex, filter.direction)).collect();
        assert_eq!(removed.len(), 2);
        assert!(removed.contains(&(eyl0, Ingress)) && removed.contains(&(eyl1, Egress)), "{removed:?}");

        // The others are there as before, in the same order.
        let after = (at(&mut requests, eyl0), at(&mut requests, eyl1));
        let is_ours = |(handle, priority, name): &(u32, u16, Option<String>)| {
            (*handle, *priority) == (ours.handle, ours.priority)
                && name.as_ref().is_some_and(|name| name.starts_with(ours.prefix))
        };
        let rest = |list: Vec<_>| -> Vec<_> { list.into_iter().filter(|filter| !is_ours(filter)).collect() };
        assert_eq!(after, (rest(before.0), rest(before.1)));
        assert_eq!(names(after.1), ["my_eyepiece_"]);
        assert!(remove_stale(&mut requests, &ours).unwrap().is_empty());

        // A qdisc of our own is removed only when it is empty.
        assert!(!remove_empty_clsact(&mut requests, eyl1).unwrap());
        tc("filter del dev eyl1 ingress");
        assert!(remove_empty_clsact(&mut requests, eyl1).unwrap());
        assert!(!remove_empty_clsact(&mut requests, eyl1).unwrap(), "there is none");
        tc("qdisc add dev eyl1 clsact");
    });
}
