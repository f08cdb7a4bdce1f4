//! The table of interfaces: applies messages of the kernel, returns events. Without a socket and a clock.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::{Ignored, Role, classify, is_l3_device};
use super::glob::Filter;
use super::ids::EndpointIds;
use super::inventory::Interfaces;
use super::link::{Link, LinkEvent, PeerRef};
use super::link_info::LinkInfo;

/// All interfaces of this namespace.
#[derive(Debug)]
pub struct LinkTable {
    filter: Filter,
    links: BTreeMap<u32, Link>,
    ids: EndpointIds,
    retired: Vec<Link>,
    /// The highest index so far. The kernel counts upwards, so a new interface below it may reuse an index.
    highest: u32,
    /// The last generation that was assigned.
    generation: u32,
}

impl LinkTable {
    /// An empty table.
    pub fn new(filter: Filter) -> Self {
        Self {
            filter,
            links: BTreeMap::new(),
            ids: EndpointIds::default(),
            retired: Vec::new(),
            highest: 0,
            generation: 0,
        }
    }

    /// All interfaces, by index.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The interfaces by role, and patterns that match none of them.
    pub fn interfaces(&self) -> Interfaces {
        Interfaces::count(&self.links.values(), &self.filter)
    }

    /// An interface by index.
    pub fn get(&self, ifindex: u32) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    /// Applies a message about one interface.
    pub fn update(&mut self, info: &LinkInfo, events: &mut Vec<LinkEvent>) {
        let old_master = self.links.get(&info.ifindex).and_then(|link| link.master);
        self.put(info, events);
        self.highest = self.highest.max(info.ifindex);
        for bridge in [old_master, info.master, Some(info.ifindex)].into_iter().flatten() {
            self.review_bridge(bridge, events);
        }
    }

    /// Removes an interface; without effect if it is missing.
    pub fn remove(&mut self, ifindex: u32, events: &mut Vec<LinkEvent>) {
        if let Some(master) = self.take(ifindex, events).and_then(|link| link.master) {
            self.review_bridge(master, events);
        }
    }

    /// Applies a full list: interfaces that are not in it are gone.
    pub fn replace(&mut self, list: &[LinkInfo], events: &mut Vec<LinkEvent>) {
        let listed: BTreeSet<u32> = list.iter().map(|info| info.ifindex).collect();
        let gone: Vec<u32> = self.links.keys().copied().filter(|ifindex| !listed.contains(ifindex)).collect();
        for ifindex in gone {
            self.take(ifindex, events);
        }
        for info in list {
            self.put(info, events);
        }
        // After the loop: a list is unordered.
        self.highest = list.iter().map(|info| info.ifindex).fold(self.highest, u32::max);
        let bridges: Vec<u32> = self.links.values().filter(|link| is_bridge(link)).map(|link| link.ifindex).collect();
        for bridge in bridges {
            self.review_bridge(bridge, events);
        }
    }

    /// Interfaces that were removed since the last call, in their last state, and endpoints that are none any more.
    pub fn take_retired(&mut self) -> Vec<Link> {
        std::mem::take(&mut self.retired)
    }

    /// Ids of namespaces behind endpoints, all of them.
    pub fn namespaces(&self) -> BTreeSet<i32> {
        self.endpoints().filter_map(|link| link.peer?.netns).collect()
    }

    /// Endpoints whose namespace's inode is unknown: index, and id of the namespace.
    pub fn without_inode(&self) -> BTreeMap<u32, i32> {
        let unknown = |link: &Link| link.peer.filter(|peer| peer.inode.is_none())?.netns.map(|id| (link.ifindex, id));
        self.endpoints().filter_map(unknown).collect()
    }

    /// Applies inodes that were found for [`LinkTable::without_inode`].
    ///
    /// The kernel reuses the id of a dead namespace; the interface's index identifies the requested one.
    pub fn set_inodes(&mut self, wanted: &BTreeMap<u32, i32>, found: &BTreeMap<i32, u32>, events: &mut Vec<LinkEvent>) {
        for (ifindex, id) in wanted {
            let Some(link) = self.links.get_mut(ifindex) else { continue };
            let Some(peer) = link.peer.as_mut().filter(|peer| peer.netns == Some(*id)) else { continue };
            let inode = found.get(id).copied();
            if inode.is_some() && peer.inode != inode {
                peer.inode = inode;
                events.push(LinkEvent::Changed(link.clone()));
            }
        }
    }

    /// The interface here that is the other side of a pair with `ifindex`, which is or was here as well.
    pub fn pair_of(&self, ifindex: u32) -> Option<u32> {
        let leads_here = |link: &&Link| link.peer.is_some_and(|peer| peer.ifindex == ifindex && !peer.elsewhere);
        self.links.values().find(leads_here).map(|link| link.ifindex)
    }

    fn endpoints(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| link.role == Role::Endpoint)
    }

    fn put(&mut self, info: &LinkInfo, events: &mut Vec<LinkEvent>) {
        if self.links.get(&info.ifindex).is_some_and(|old| old.kind != info.kind) {
            // Another interface has the index now, and the first one's removal was not notified.
            self.take(info.ifindex, events);
        }
        let role = classify(info, &self.filter);
        let old = self.links.get(&info.ifindex);
        let endpoint = match (role, old.map_or(0, |old| old.endpoint)) {
            (Role::Endpoint, 0) => self.ids.allocate().unwrap_or(0),
            (Role::Endpoint, id) => id,
            (_, 0) => 0,
            (_, id) => {
                self.ids.release(id);
                self.retired.extend(old.cloned());
                0
            }
        };
        let generation = match old {
            Some(old) => old.generation,
            None if info.ifindex <= self.highest => {
                self.generation = self.generation.wrapping_add(1).max(1);
                self.generation
            }
            None => 0,
        };
        let link = Link {
            ifindex: info.ifindex,
            generation,
            name: info.name.clone(),
            role,
            endpoint,
            endpoint_bridge: old.is_some_and(|old| old.endpoint_bridge),
            mac: info.mac,
            mtu: info.mtu,
            l3_device: is_l3_device(info.hardware),
            peer: peer(info, old),
            master: info.master,
            kind: info.kind.clone(),
            tunnels: info.tunnels.clone(),
        };
        match old {
            None => events.push(LinkEvent::Appeared(link.clone())),
            Some(old) if *old != link => events.push(LinkEvent::Changed(link.clone())),
            Some(_) => return,
        }
        self.links.insert(info.ifindex, link);
    }

    fn take(&mut self, ifindex: u32, events: &mut Vec<LinkEvent>) -> Option<Link> {
        let link = self.links.remove(&ifindex)?;
        self.ids.release(link.endpoint);
        self.retired.push(link.clone());
        events.push(LinkEvent::Gone { ifindex, name: link.name.clone() });
        Some(link)
    }

    /// Updates whether this interface is a bridge of endpoints only.
    fn review_bridge(&mut self, ifindex: u32, events: &mut Vec<LinkEvent>) {
        let mut ports = self.links.values().filter(|link| link.master == Some(ifindex)).peekable();
        let is_bridge = self.links.get(&ifindex).is_some_and(is_bridge);
        let endpoint_bridge = is_bridge && ports.peek().is_some() && ports.all(|port| port.role == Role::Endpoint);
        if let Some(link) = self.links.get_mut(&ifindex).filter(|link| link.endpoint_bridge != endpoint_bridge) {
            link.endpoint_bridge = endpoint_bridge;
            // A pending event of the bridge is replaced: one event with the newest state.
            match events.iter_mut().rev().find(|event| event.ifindex() == Some(ifindex)) {
                Some(LinkEvent::Appeared(pending) | LinkEvent::Changed(pending)) => *pending = link.clone(),
                _ => events.push(LinkEvent::Changed(link.clone())),
            }
        }
    }
}

fn is_bridge(link: &Link) -> bool {
    link.role == Role::Ignored(Ignored::Bridge)
}

fn peer(info: &LinkInfo, old: Option<&Link>) -> Option<PeerRef> {
    let is_pair = matches!(info.kind.as_deref(), Some("veth" | "netkit"));
    let ifindex = info.link.filter(|_| is_pair)?;
    let netns = info.link_netns.flatten();
    let inode = old.and_then(|old| old.peer).filter(|peer| peer.netns == netns).and_then(|peer| peer.inode);
    Some(PeerRef { ifindex, elsewhere: info.link_netns.is_some(), netns, inode })
}

impl LinkEvent {
    /// The interface of the event.
    pub const fn ifindex(&self) -> Option<u32> {
        match self {
            Self::Appeared(link) | Self::Changed(link) => Some(link.ifindex),
            Self::Gone { ifindex, .. } => Some(*ifindex),
            Self::Synced => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{LinkEvent, LinkTable};
    use crate::source::datapath::links::classify::{Ignored, Role};
    use crate::source::datapath::links::glob::Filter;
    use crate::source::datapath::links::link_info::LinkInfo;

    fn info(ifindex: u32, kind: &str) -> LinkInfo {
        let kind = (!kind.is_empty()).then(|| kind.to_owned());
        LinkInfo { ifindex, hardware: 1, name: format!("if{ifindex}"), kind, ..LinkInfo::default() }
    }

    fn endpoint(ifindex: u32, master: u32) -> LinkInfo {
        let master = (master != 0).then_some(master);
        LinkInfo { link: Some(2), link_netns: Some(Some(0)), master, ..info(ifindex, "veth") }
    }

    /// Events as text: `+7 endpoint 1`, `~7 …`, `-7`.
    fn texts(events: &mut Vec<LinkEvent>) -> Vec<String> {
        events
            .drain(..)
            .map(|event| match event {
                LinkEvent::Appeared(link) => format!("+{} {:?} {}", link.ifindex, link.wire_kind(), link.endpoint),
                LinkEvent::Changed(link) => format!("~{} {:?} {}", link.ifindex, link.wire_kind(), link.endpoint),
                LinkEvent::Gone { ifindex, name } => format!("-{ifindex} {name}"),
                LinkEvent::Synced => "synced".to_owned(),
            })
            .collect()
    }

    #[test]
    fn endpoint_keeps_id_while_present() {
        let (mut table, mut events) = (LinkTable::new(Filter::default()), Vec::new());
        table.update(&endpoint(7, 0), &mut events);
        table.update(&endpoint(7, 0), &mut events);
        table.update(&LinkInfo { name: "renamed".into(), ..endpoint(7, 0) }, &mut events);
        assert_eq!(texts(&mut events), ["+7 Endpoint 1", "~7 Endpoint 1"]);
        table.remove(7, &mut events);
        table.remove(7, &mut events);
        table.update(&endpoint(7, 0), &mut events);
        assert_eq!(texts(&mut events), ["-7 renamed", "+7 Endpoint 2"]);
        table.update(&info(7, "veth"), &mut events);
        assert_eq!(texts(&mut events), ["~7 Other 0"], "its peer came back");
        let retired: Vec<_> = table.take_retired().into_iter().map(|link| link.endpoint).collect();
        assert_eq!((retired, table.take_retired()), (vec![1, 2], vec![]));
    }

    #[test]
    fn reused_index_has_another_generation() {
        let (mut table, mut events) = (LinkTable::new(Filter::default()), Vec::new());
        let generation = |table: &LinkTable, ifindex| table.get(ifindex).map(|link| link.generation);
        table.replace(&[info(9, "bridge"), info(3, ""), endpoint(7, 0)], &mut events);
        table.update(&info(10, "bridge"), &mut events);
        assert_eq!([3, 7, 9, 10].map(|ifindex| generation(&table, ifindex)), [Some(0); 4], "a list is unordered");
        table.update(&LinkInfo { name: "renamed".into(), ..endpoint(7, 0) }, &mut events);
        assert_eq!(generation(&table, 7), Some(0));
        table.remove(7, &mut events);
        table.update(&endpoint(7, 0), &mut events);
        // The removal of the first one was not notified.
        table.update(&info(9, "dummy"), &mut events);
        table.replace(&[info(3, ""), endpoint(8, 0), info(20, "bridge"), info(11, "")], &mut events);
        table.replace(&[info(3, ""), info(7, "")], &mut events);
        assert_eq!([3, 7].map(|ifindex| generation(&table, ifindex)), [Some(0), Some(4)]);
    }

    #[test]
    fn pair_becomes_endpoint_when_peer_leaves() {
        let (mut table, mut events) = (LinkTable::new(Filter::default()), Vec::new());
        let (host, peer) = (info(7, "veth"), info(8, "veth"));
        table.update(&LinkInfo { link: Some(8), ..host.clone() }, &mut events);
        table.update(&LinkInfo { link: Some(7), ..peer }, &mut events);
        assert_eq!((table.pair_of(8), table.pair_of(7), table.pair_of(9)), (Some(7), Some(8), None));
        assert_eq!(table.get(7).unwrap().role, Role::Ignored(Ignored::PeerHere));
        table.remove(8, &mut events);
        assert_eq!(table.pair_of(8), Some(7), "the side that stayed");
        table.update(&LinkInfo { link: Some(2), link_netns: Some(Some(0)), ..host }, &mut events);
        assert_eq!(table.pair_of(2), None);
        assert_eq!(texts(&mut events), ["+7 Other 0", "+8 Other 0", "-8 if8", "~7 Endpoint 1"]);
    }

    #[test]
    fn endpoint_bridge_has_endpoints_only() {
        let (mut table, mut events) = (LinkTable::new(Filter::default()), Vec::new());
        table.update(&info(3, "bridge"), &mut events);
        assert_eq!(texts(&mut events), ["+3 Other 0"]);
        table.update(&endpoint(7, 3), &mut events);
        assert_eq!(texts(&mut events), ["+7 Endpoint 1", "~3 EndpointBridge 0"]);
        table.update(&LinkInfo { master: Some(3), ..info(2, "") }, &mut events);
        assert_eq!(texts(&mut events), ["+2 Uplink 0", "~3 Other 0"]);
        table.update(&info(2, ""), &mut events);
        assert_eq!(texts(&mut events), ["~2 Uplink 0", "~3 EndpointBridge 0"]);
        table.update(&LinkInfo { mtu: 9000, ..info(3, "bridge") }, &mut events);
        assert_eq!(texts(&mut events), ["~3 EndpointBridge 0"]);
        table.remove(7, &mut events);
        assert_eq!(texts(&mut events), ["-7 if7", "~3 Other 0"]);
    }

    #[test]
    fn interfaces_and_unmatched_patterns_are_counted() {
        let filter = Filter {
            include: ["if?", "eth*", "none"].map(str::to_owned).into(),
            exclude: ["if9", "wlan*"].map(str::to_owned).into(),
        };
        let (mut table, mut events) = (LinkTable::new(filter), Vec::new());
        table.replace(&[info(2, ""), info(3, "bridge"), endpoint(7, 3), info(9, ""), info(10, "")], &mut events);
        let counted = table.interfaces();
        let unmatched: Vec<_> = counted.unmatched.iter().map(ToString::to_string).collect();
        assert_eq!((counted.endpoints, counted.uplinks), (1, 1));
        let left_out = [("bridge: counted at its ports", 1), ("excluded by name", 1), ("not included by name", 1)];
        assert_eq!(counted.left_out, left_out.into());
        let [include, exclude] = ["datapath.interfaces.include", "datapath.interfaces.exclude"];
        assert_eq!(
            unmatched,
            [format!("{include} \"eth*\""), format!("{include} \"none\""), format!("{exclude} \"wlan*\"")]
        );
    }

    #[test]
    fn full_list_replaces_table() {
        let (mut table, mut events) = (LinkTable::new(Filter::default()), Vec::new());
        let list = [info(2, ""), info(3, "bridge"), endpoint(7, 3)];
        table.replace(&list, &mut events);
        assert_eq!(texts(&mut events), ["+2 Uplink 0", "+3 EndpointBridge 0", "+7 Endpoint 1"]);
        table.replace(&list, &mut events);
        assert!(events.is_empty(), "{events:?}");
        table.replace(&[info(2, ""), info(3, "bridge"), endpoint(8, 0)], &mut events);
        assert_eq!(texts(&mut events), ["-7 if7", "+8 Endpoint 2", "~3 Other 0"]);
        table.replace(&[info(2, "bridge")], &mut events);
        assert_eq!(texts(&mut events), ["-3 if3", "-8 if8", "-2 if2", "+2 Other 0"], "another kind, another interface");
    }

    #[test]
    fn inodes_apply_to_requested_interface() {
        let (mut table, mut events) = (LinkTable::new(Filter::default()), Vec::new());
        table.replace(&[info(2, ""), endpoint(7, 0), endpoint(8, 0)], &mut events);
        let wanted = table.without_inode();
        assert_eq!(wanted, BTreeMap::from([(7, 0), (8, 0)]));
        // Meanwhile 8 goes, and 9 comes with the same namespace id.
        table.remove(8, &mut events);
        table.update(&endpoint(9, 0), &mut events);
        events.clear();
        table.set_inodes(&wanted, &BTreeMap::from([(0, 4711)]), &mut events);
        table.set_inodes(&wanted, &BTreeMap::from([(0, 4711)]), &mut events);
        assert_eq!(texts(&mut events), ["~7 Endpoint 1"]);
        assert_eq!(table.without_inode(), BTreeMap::from([(9, 0)]));
        table.update(&LinkInfo { mtu: 1400, ..endpoint(7, 0) }, &mut events);
        assert_eq!(table.get(7).unwrap().peer.unwrap().inode, Some(4711), "kept over a change");
        table.update(&LinkInfo { link_netns: Some(Some(1)), ..endpoint(7, 0) }, &mut events);
        assert_eq!(table.get(7).unwrap().peer.unwrap().inode, None, "another namespace");
        assert_eq!(table.namespaces(), [0, 1].into());
    }
}
