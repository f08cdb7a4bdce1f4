//! The watcher of interfaces against the kernel: what comes, changes and goes in namespaces made for each test.

mod clsact;
mod host;
mod soak;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use eyepiece::source::datapath::links::namespaces;
use eyepiece::source::datapath::links::namespaces::SearchPaths;
use eyepiece::source::datapath::links::requests::Requests;
use eyepiece::source::datapath::links::{Config, Filter, Ignored, Link, LinkEvent, Role};
use eyepiece_wire::{InterfaceKind, Tunnel};
use host::{Other, Watched, ip, isolated};

fn is_endpoint(name: &'static str) -> impl Fn(&mut Watched) -> bool {
    move |watched| watched.table.get(name).is_some_and(|link| link.role == Role::Endpoint)
}

#[test]
fn present_and_later_interfaces_are_reported() {
    isolated(concat!(module_path!(), "::present_and_later_interfaces_are_reported"), || {
        let other = Other::new();
        ip(&format!("link add old type veth peer name eth0 netns {}", other.0));
        ip("link add inner type veth peer name outer");
        let filter = Filter { exclude: vec!["ex*".into()], ..Filter::default() };
        let mut watched = Watched::start(Config { filter, ..Config::default() });
        for (name, role) in [
            ("lo", Role::Ignored(Ignored::Loopback)),
            ("old", Role::Endpoint),
            ("inner", Role::Ignored(Ignored::PeerHere)),
            ("outer", Role::Ignored(Ignored::PeerHere)),
        ] {
            assert_eq!(watched.link(name).role, role, "{name}");
        }
        ip(&format!("link add new type veth peer name eth1 netns {}", other.0));
        ip(&format!("link add excluded type veth peer name eth2 netns {}", other.0));
        ip("link add br0 type bridge");
        ip("link add ifb7 type ifb");
        ip("link add vx0 type vxlan id 7 dstport 4789");
        ip("tuntap add dev tun0 mode tun");
        ip("tuntap add dev tap0 mode tap");
        ip("link add link inner name mac0 type macvlan");
        watched.until("the last one", |watched| watched.table.contains_key("mac0"));
        for (name, role, l3_device) in [
            ("new", Role::Endpoint, false),
            ("excluded", Role::Ignored(Ignored::Excluded), false),
            ("br0", Role::Ignored(Ignored::Bridge), false),
            ("ifb7", Role::Ignored(Ignored::NoTraffic), false),
            ("vx0", Role::Uplink, false),
            ("tun0", Role::Uplink, true),
            ("tap0", Role::Uplink, false),
            ("mac0", Role::Ignored(Ignored::Stacked), false),
        ] {
            assert_eq!((watched.link(name).role, watched.link(name).l3_device), (role, l3_device), "{name}");
        }
        let ids = [watched.link("old").endpoint, watched.link("new").endpoint];
        assert_eq!(ids, [1, 2]);
        assert_eq!(watched.link("vx0").tunnels, [Tunnel { port: 4789, protocol: 17, pad: 0 }]);
        assert!(watched.link("tap0").tunnels.is_empty());
        assert_eq!(watched.link("new").mtu, 1500);
        assert!(watched.link("new").mac.is_some());
    });
}

#[test]
fn returning_peer_is_endpoint_again() {
    isolated(concat!(module_path!(), "::returning_peer_is_endpoint_again"), || {
        let (other, third) = (Other::new(), Other::new());
        let mut watched = Watched::start(Config::default());
        ip("link add host7 type veth peer name eth0");
        watched.until("the pair", |watched| watched.table.len() == 3);
        assert_eq!(watched.link("host7").role, Role::Ignored(Ignored::PeerHere));
        // Both sides are down, so the kernel has no word for the side that stays.
        ip(&format!("link set eth0 netns {}", other.0));
        watched.until("an endpoint", is_endpoint("host7"));
        assert!(!watched.table.contains_key("eth0"));
        let (id, inode) = (watched.link("host7").endpoint, other.inode());
        watched.until("its namespace", move |watched| {
            watched.link("host7").peer.is_some_and(|peer| peer.inode == Some(inode))
        });
        watched.until("the snapshot", move |watched| watched.reader.snapshot().links().namespace(inode) == Some(id));
        // The next one has another id, though the first one's is free.
        ip("link del host7");
        watched.until("it is gone", |watched| !watched.table.contains_key("host7"));
        ip(&format!("link add host8 type veth peer name eth0 netns {}", other.0));
        watched.until("the next one", is_endpoint("host8"));
        assert_ne!(watched.link("host8").endpoint, id);
        other.ip(&format!("link set eth0 netns {}", third.0));
        // The kernel reports no move between other namespaces; a change of the interface or the next review shows it.
        ip("link set host8 mtu 1400");
        let inode = third.inode();
        watched.until("the third namespace", move |watched| {
            watched.link("host8").peer.is_some_and(|peer| peer.inode == Some(inode))
        });
    });
}

#[test]
fn pair_in_one_namespace_is_ignored() {
    isolated(concat!(module_path!(), "::pair_in_one_namespace_is_ignored"), || {
        let other = Other::new();
        ip(&format!("link add host7 type veth peer name eth0 netns {}", other.0));
        let mut watched = Watched::start(Config::default());
        watched.until("an endpoint", is_endpoint("host7"));
        // The peer can be brought here by a process in its namespace that knows this one; `ip` takes a pid: ours is
        // that of a thread, which procfs knows as well.
        let thread = nix::unistd::gettid();
        other.ip(&format!("link set eth0 netns {thread}"));
        watched.until("no endpoint", |watched| watched.link("host7").role == Role::Ignored(Ignored::PeerHere));
        assert_eq!(watched.link("host7").endpoint, 0);
        assert_eq!(watched.link("eth0").role, Role::Ignored(Ignored::PeerHere));
    });
}

#[test]
fn renamed_changed_deleted() {
    isolated(concat!(module_path!(), "::renamed_changed_deleted"), || {
        let other = Other::new();
        ip(&format!("link add host7 type veth peer name eth0 netns {}", other.0));
        let mut watched = Watched::start(Config::default());
        let before: Link = watched.link("host7").clone();
        ip("link set host7 name cali7");
        ip("link set cali7 mtu 1400");
        watched.until("new name and mtu", |watched| watched.table.get("cali7").is_some_and(|link| link.mtu == 1400));
        assert!(!watched.table.contains_key("host7"));
        let after = watched.link("cali7");
        assert_eq!((after.ifindex, after.endpoint, after.role), (before.ifindex, before.endpoint, before.role));
        let name = watched.reader.refresh().links().interface(before.ifindex).name;
        assert_eq!(&*watched.symbols.text(name), "cali7");
        ip("link del cali7");
        watched.until("gone", |watched| !watched.table.contains_key("cali7"));
        // Events of it may still be on their way.
        let name = watched.reader.refresh().links().endpoint_name(before.endpoint);
        assert_eq!(&*watched.symbols.text(name), "cali7");
    });
}

#[test]
fn bridges_of_endpoints() {
    isolated(concat!(module_path!(), "::bridges_of_endpoints"), || {
        let other = Other::new();
        let mut watched = Watched::start(Config::default());
        let is = |kind: InterfaceKind| move |watched: &mut Watched| watched.link("br0").wire_kind() == kind;
        ip("link add br0 type bridge");
        ip(&format!("link add host7 type veth peer name eth0 netns {}", other.0));
        ip("tuntap add dev tap0 mode tap");
        watched.until("all three", |watched| watched.table.len() == 4);
        assert!(is(InterfaceKind::Other)(&mut watched), "no ports");
        ip("link set host7 master br0");
        watched.until("endpoints only", is(InterfaceKind::EndpointBridge));
        ip("link set tap0 master br0");
        watched.until("an uplink as well", is(InterfaceKind::Other));
        ip("link set tap0 nomaster");
        watched.until("endpoints only again", is(InterfaceKind::EndpointBridge));
        // The bridge's own message about the port that left must not look like the interface's end.
        assert!(watched.table.contains_key("tap0"));
        let bridge = watched.link("br0").ifindex;
        assert_eq!(watched.reader.refresh().links().interface(bridge).kind, InterfaceKind::EndpointBridge);
        ip("link del host7");
        watched.until("no ports again", is(InterfaceKind::Other));
    });
}

#[test]
fn addresses_behind_endpoints() {
    isolated(concat!(module_path!(), "::addresses_behind_endpoints"), || {
        let (one, two) = (Other::new(), Other::new());
        // The peers of the first and the last have the same index in different namespaces, those of the first two share one.
        ip(&format!("link add veth-a type veth peer name eth0 index 50 netns {}", one.0));
        ip(&format!("link add veth-b type veth peer name eth1 netns {}", one.0));
        ip(&format!("link add veth-c type veth peer name eth0 index 50 netns {}", two.0));
        one.ip("addr add 10.1.0.1/24 dev eth0");
        one.ip("addr add fd01::1/64 dev eth0 nodad");
        one.ip("addr add 10.1.1.1/24 dev eth1");
        two.ip("addr add 10.2.0.1/24 dev eth0");
        ip("addr add 192.0.2.1/24 dev veth-a");
        let mut watched = Watched::start(Config::default());
        for (address, name) in [
            ("10.1.0.1", "veth-a"),
            ("fd01::1", "veth-a"),
            ("10.1.1.1", "veth-b"),
            ("10.2.0.1", "veth-c"),
            ("192.0.2.1", "host"),
            ("127.0.0.1", "host"),
            ("::1", "host"),
            ("10.3.0.1", "world"),
        ] {
            watched.until_end(address, name);
        }
        // Later ones: the kernel reports other namespaces as well.
        one.ip("addr add 10.1.1.9/32 dev eth1");
        one.ip("addr add fd01::9/128 dev eth1 nodad");
        two.ip("addr add 10.2.0.9 peer 10.2.0.10/32 dev eth0");
        ip("addr add 2001:db8::7/64 dev veth-b nodad");
        for (address, name) in [
            ("10.1.1.9", "veth-b"),
            ("fd01::9", "veth-b"),
            ("10.2.0.9", "veth-c"),
            ("10.2.0.10", "world"),
            ("2001:db8::7", "host"),
        ] {
            watched.until_end(address, name);
        }
        one.ip("addr del 10.1.0.1/24 dev eth0");
        ip("addr del 192.0.2.1/24 dev veth-a");
        watched.until_end("10.1.0.1", "world");
        watched.until_end("192.0.2.1", "world");
        // A namespace with two endpoints does not identify one of them.
        let (first, second) = (one.inode(), two.inode());
        let id = watched.link("veth-c").endpoint;
        watched.until("namespaces", move |watched| {
            let links = watched.reader.refresh().links();
            (links.namespace(first), links.namespace(second)) == (Some(0), Some(id))
        });
    });
}

#[test]
fn sent_packets_reveal_addresses() {
    isolated(concat!(module_path!(), "::sent_packets_reveal_addresses"), || {
        let (one, two) = (Other::new(), Other::new());
        ip(&format!("link add veth-a type veth peer name eth0 netns {}", one.0));
        ip(&format!("link add veth-b type veth peer name eth0 netns {}", two.0));
        one.ip("addr add 10.1.0.1/24 dev eth0");
        let mut watched = Watched::start(Config::default());
        watched.until_end("10.1.0.1", "veth-a");
        let (a, b) = (watched.link("veth-a").ifindex, watched.link("veth-b").ifindex);
        ip("link set veth-a up");
        ip("link set veth-b up");
        ip("route add 203.0.113.0/28 dev veth-b");
        ip("route add 203.0.113.6/32 dev veth-a");
        send(&mut watched, b, "10.1.0.1");
        send(&mut watched, b, "127.0.0.1");
        send(&mut watched, b, "203.0.113.5");
        watched.until_end("203.0.113.5", "veth-b");
        assert_eq!(watched.end("10.1.0.1").0, "veth-a", "what is configured is not taken away by a packet");
        assert_eq!(watched.end("127.0.0.1").0, "host");
        // The owner becomes known.
        one.ip("addr add 203.0.113.5/32 dev eth0");
        watched.until_end("203.0.113.5", "veth-a");
        send(&mut watched, a, "203.0.113.6");
        watched.until_end("203.0.113.6", "veth-a");
    });
}

/// A packet from an address, as the pipeline reports it.
fn send(watched: &mut Watched, ifindex: u32, address: &str) {
    watched.links.learner.learn(ifindex, address.parse::<IpAddr>().expect("an address"), 1);
}

#[test]
fn spoofed_addresses_stay_world() {
    isolated(concat!(module_path!(), "::spoofed_addresses_stay_world"), || {
        let other = Other::new();
        ip("link add br0 type bridge");
        ip("link add uplink type bridge");
        ip(&format!("link add veth-a type veth peer name eth0 netns {}", other.0));
        ip(&format!("link add veth-b type veth peer name eth1 netns {}", other.0));
        ip("link set veth-b master br0");
        ["br0", "uplink", "veth-a", "veth-b"].iter().for_each(|name| ip(&format!("link set {name} up")));
        ip("addr add 192.0.2.1/24 dev br0");
        ip("addr add 10.9.0.1/24 dev uplink");
        ip("addr add 2001:db8:9::1/64 dev uplink nodad");
        ip("route add default via 10.9.0.254 dev uplink");
        // A default route leads everywhere, and so proves nothing.
        ip("-6 route add default dev veth-a");
        ip("route add 203.0.113.0/24 dev veth-a");
        ip("-6 route add 2001:db8:a::/64 dev veth-a");
        ip("route add blackhole 198.51.100.0/24");
        ip("neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev br0");
        ip("neigh add 192.0.2.8 lladdr 02:00:00:00:00:08 dev br0");
        other.ip("link set eth1 up");
        assert!(
            Command::new("bridge")
                .args("fdb add 02:00:00:00:00:07 dev veth-b master static".split(' '))
                .status()
                .unwrap()
                .success()
        );
        ip("route add 172.31.0.0/16 via 192.0.2.7 dev br0");
        let mut watched = Watched::start(Config::default());
        watched.until("endpoints", |watched| is_endpoint("veth-a")(watched) && is_endpoint("veth-b")(watched));
        watched.until("the bridge", |watched| watched.link("veth-b").master == Some(watched.link("br0").ifindex));
        let (a, b) = (watched.link("veth-a").ifindex, watched.link("veth-b").ifindex);
        let spoofed = ["8.8.8.8", "10.9.0.7", "2001:db8:9::7", "2001:db8:f::1", "198.51.100.1", "192.0.2.7"];
        let of_b = ["8.8.8.8", "203.0.113.5", "192.0.2.8", "192.0.2.9", "2001:db8:a::5"];
        spoofed.iter().for_each(|address| send(&mut watched, a, address));
        of_b.iter().for_each(|address| send(&mut watched, b, address));
        // Behind all of these in the queue: what the tables confirm, by a route, by a neighbour, by a next hop.
        for (address, name, ifindex) in [
            ("203.0.113.5", "veth-a", a),
            ("2001:db8:a::5", "veth-a", a),
            ("192.0.2.7", "veth-b", b),
            ("172.31.5.5", "veth-b", b),
        ] {
            send(&mut watched, ifindex, address);
            watched.until_end(address, name);
        }
        for address in
            ["8.8.8.8", "10.9.0.7", "2001:db8:9::7", "2001:db8:f::1", "198.51.100.1", "192.0.2.8", "192.0.2.9"]
        {
            assert_eq!(watched.end(address), ("world".into(), 0), "{address}");
        }
    });
}

#[test]
fn dead_namespace_is_released() {
    isolated(concat!(module_path!(), "::dead_namespace_is_released"), || {
        let mut watched = Watched::start(Config::default());
        for round in 0..5 {
            let other = Other::new();
            ip(&format!("link add host{round} type veth peer name eth0 netns {}", other.0));
            other.ip("addr add 10.1.0.1/24 dev eth0");
            watched.until_end("10.1.0.1", &format!("host{round}"));
            let inode = other.inode();
            watched.until("the inode", move |watched| watched.reader.snapshot().links().namespace(inode).is_some());
            // Nothing else holds it: its interfaces go with it, unless the watcher keeps it open.
            drop(other);
            watched.until("the end", |watched| watched.table.len() == 1);
        }
    });
}

#[test]
fn many_come_and_go_quickly() {
    isolated(concat!(module_path!(), "::many_come_and_go_quickly"), || {
        let other = Other::new();
        let mut watched = Watched::start(Config::default());
        let cycles = 200;
        let batch: String = (0..cycles)
            .map(|n| format!("link add q{n} type veth peer name p{n} netns {}\nlink del q{n}\n", other.0))
            .collect();
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), batch).unwrap();
        ip(&format!("-batch {}", script.path().display()));
        ip("link add last type bridge");
        let (mut appeared, mut gone, mut ids) = (0, 0, std::collections::BTreeSet::new());
        while !watched.table.contains_key("last") {
            let event = watched.runtime.block_on(watched.links.events.recv()).unwrap();
            match &event {
                LinkEvent::Appeared(link) if link.role == Role::Endpoint => {
                    appeared += 1;
                    ids.insert(link.endpoint);
                }
                LinkEvent::Gone { .. } => gone += 1,
                _ => {}
            }
            watched.take(event);
        }
        assert_eq!((appeared, gone, ids.len()), (cycles, cycles, cycles), "none missed, no id twice");
        assert_eq!(watched.table.len(), 2);
        assert_eq!(watched.links.metrics.resyncs.get(), 0);
    });
}

#[test]
fn lost_notifications_are_made_up_for() {
    isolated(concat!(module_path!(), "::lost_notifications_are_made_up_for"), || {
        let other = Other::new();
        let mut watched = Watched::start_silent(Config::default());
        // The test reads no events, so the watcher stops reading, and the kernel runs out of room.
        let mut batch: String = (0..6000).map(|n| format!("link set lo mtu {}\n", 60000 + n)).collect();
        batch += &format!("link add kept type veth peer name eth0 netns {}\n", other.0);
        batch += "link add short type bridge\nlink del short\n";
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), batch).unwrap();
        ip(&format!("-batch {}", script.path().display()));
        watched.until("a new list", |watched| watched.synced == 2);
        assert_eq!(watched.link("lo").mtu, 65999);
        assert_eq!(watched.link("kept").role, Role::Endpoint);
        assert!(!watched.table.contains_key("short"));
        assert!(watched.links.metrics.resyncs.get() >= 1);
        ip("link add next type bridge");
        watched.until("what comes after", |watched| watched.table.contains_key("next"));
    });
}

#[test]
fn watcher_ends_with_its_receiver() {
    isolated(concat!(module_path!(), "::watcher_ends_with_its_receiver"), || {
        let watched = Watched::start(Config::default());
        drop(watched.links.events);
        let ended = watched.runtime.block_on(watched.links.task).unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    });
}

#[test]
fn swapped_namespaces_keep_their_inodes() {
    isolated(concat!(module_path!(), "::swapped_namespaces_keep_their_inodes"), || {
        let others = [Other::new(), Other::new()];
        let folder = tempfile::tempdir().unwrap();
        let mut requests = Requests::open().unwrap();
        let mut inodes = BTreeMap::new();
        for (number, other) in others.iter().enumerate() {
            ip(&format!("link add host{number} type veth peer name eth0 netns {}", other.0));
            let namespace = std::fs::File::open(format!("/run/netns/{}", other.0)).unwrap();
            inodes.insert(requests.netns_id(namespace.as_fd()).unwrap().expect("an id"), other.inode());
        }
        // A path that leads to one namespace, then to the other, all the time.
        let targets = others.each_ref().map(|other| format!("/run/netns/{}", other.0));
        let (path, next, is_over) = (folder.path().join("a"), folder.path().join(".next"), AtomicBool::new(false));
        std::os::unix::fs::symlink(&targets[0], &path).unwrap();
        let places = SearchPaths { directories: vec![folder.path().into()], processes: folder.path().join("none") };
        let wanted = inodes.keys().copied().collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for target in targets.iter().cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                    std::os::unix::fs::symlink(target, &next).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                }
            });
            let mut looks = std::iter::repeat_with(|| namespaces::inodes(&places, &wanted, &mut requests)).take(20_000);
            let wrong = looks.find(|found| match found {
                Ok(found) => found.iter().any(|(id, inode)| inodes[id] != *inode),
                Err(_) => true,
            });
            is_over.store(true, Ordering::Relaxed);
            assert!(wrong.is_none(), "{wrong:?} of {inodes:?}");
        });
    });
}
