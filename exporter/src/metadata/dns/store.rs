//! The names of addresses, by the answers that were seen; each holds for its time to live.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answer;
use crate::metadata::provider::{Change, Entity, EntityKind, Key, Target};

/// The least time that an answer holds: connections outlive the seconds that answers of load balancers hold, as
/// Cilium's `tofqdns-min-ttl` of 3600.
const MIN_TTL: Duration = Duration::from_secs(3600);
/// The longest time that an answer holds.
const MAX_TTL: Duration = Duration::from_secs(86_400);
/// The most addresses of a name; those beyond are left out. Cilium's `tofqdns-endpoint-max-ip-per-hostname`.
const MAX_ADDRESSES: usize = 50;
/// The most names of an address; the oldest are left out. A content network's address has thousands.
const MAX_NAMES: usize = 8;
/// Addresses of all names together, for each name of the limit: most names have one or two.
const ADDRESSES_PER_NAME: usize = 4;

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    max_names: usize,
    /// Expiries by name and address.
    names: HashMap<Arc<str>, HashMap<IpAddr, Instant>>,
    /// Names by address, the oldest first.
    addresses: HashMap<IpAddr, Vec<Arc<str>>>,
    /// The same as `names`, by expiry.
    expiries: BTreeSet<(Instant, Arc<str>, IpAddr)>,
    /// Records that were removed before their time.
    evicted: u64,
}

impl Store {
    /// An empty store for so many names.
    pub(super) fn new(max_names: usize) -> Self {
        let (names, addresses) = (HashMap::new(), HashMap::new());
        Self { max_names, names, addresses, expiries: BTreeSet::new(), evicted: 0 }
    }

    /// The number of names.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// Returns how many records were removed before their time since the last call.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// Adds answers, removes what is over, and returns what changed.
    pub(super) fn update(&mut self, answers: &[Answer], now: Instant) -> Vec<Change> {
        let mut changed = HashSet::new();
        for answer in answers {
            for address in &answer.addresses {
                self.add(&answer.name, *address, now + answer.ttl.clamp(MIN_TTL, MAX_TTL), &mut changed);
            }
        }
        while let Some((expiry, ..)) = self.expiries.first() {
            let is_over = *expiry <= now;
            let max_records = self.max_names.saturating_mul(ADDRESSES_PER_NAME);
            if !is_over && self.names.len() <= self.max_names && self.expiries.len() <= max_records {
                break;
            }
            self.evicted += u64::from(!is_over);
            if let Some((_, name, address)) = self.expiries.pop_first() {
                self.remove(&name, address, &mut changed);
            }
        }
        changed.into_iter().map(|address| self.change(address)).collect()
    }

    fn add(&mut self, name: &Arc<str>, address: IpAddr, expiry: Instant, changed: &mut HashSet<IpAddr>) {
        let records = self.names.entry(name.clone()).or_default();
        if records.len() >= MAX_ADDRESSES && !records.contains_key(&address) {
            self.evicted += 1;
            return;
        }
        let before = records.insert(address, expiry);
        if let Some(before) = before {
            self.expiries.remove(&(before, name.clone(), address));
        }
        self.expiries.insert((expiry, name.clone(), address));
        if before.is_none() {
            changed.insert(address);
            let names = self.addresses.entry(address).or_default();
            names.push(name.clone());
            if names.len() > MAX_NAMES {
                let oldest = names.first().cloned();
                self.evicted += 1;
                oldest.iter().for_each(|oldest| self.forget(oldest, address, changed));
            }
        }
    }

    /// Removes a record with its expiry.
    fn forget(&mut self, name: &Arc<str>, address: IpAddr, changed: &mut HashSet<IpAddr>) {
        if let Some(expiry) = self.names.get(name).and_then(|records| records.get(&address)) {
            self.expiries.remove(&(*expiry, name.clone(), address));
        }
        self.remove(name, address, changed);
    }

    /// Removes a record that has no expiry any more.
    fn remove(&mut self, name: &Arc<str>, address: IpAddr, changed: &mut HashSet<IpAddr>) {
        changed.insert(address);
        if let Some(records) = self.names.get_mut(name) {
            records.remove(&address);
            if records.is_empty() {
                self.names.remove(name);
            }
        }
        if let Some(names) = self.addresses.get_mut(&address) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.addresses.remove(&address);
            }
        }
    }

    fn change(&self, address: IpAddr) -> Change {
        let key = Key::Address(address);
        let Some(names) = self.addresses.get(&address) else { return Change::Remove(key) };
        // The newest first: it is the most likely reason of a connection now.
        let dns_names: Vec<_> = names.iter().rev().map(ToString::to_string).collect();
        let name = dns_names.first().cloned().unwrap_or_default();
        let entity = Entity { kind: EntityKind::DnsName, name, dns_names, ..Entity::default() };
        Change::Set(key, Target::Entity(Arc::new(entity)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::{ADDRESSES_PER_NAME, Answer, MAX_ADDRESSES, MAX_NAMES, MAX_TTL, MIN_TTL, Store};
    use crate::metadata::provider::{Change, Key, Target};

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number as u32).into()
    }

    fn answer(name: &str, addresses: impl IntoIterator<Item = usize>, ttl: u64) -> Answer {
        let addresses = addresses.into_iter().map(address).collect();
        Answer { name: name.into(), addresses, ttl: Duration::from_secs(ttl) }
    }

    /// Changes as `ADDRESS NAMES`, sorted.
    fn lines(changes: &[Change]) -> Vec<String> {
        let line = |change: &Change| match change {
            Change::Set(Key::Address(address), Target::Entity(entity)) => {
                assert_eq!(entity.name, entity.dns_names[0]);
                format!("{address} {}", entity.dns_names.join(" "))
            }
            Change::Remove(Key::Address(address)) => address.to_string(),
            change => panic!("{change:?}"),
        };
        let mut lines: Vec<_> = changes.iter().map(line).collect();
        lines.sort();
        lines
    }

    fn is_consistent(store: &Store) -> bool {
        let records: usize = store.names.values().map(std::collections::HashMap::len).sum();
        let names: usize = store.addresses.values().map(Vec::len).sum();
        records == store.expiries.len() && names == records
    }

    #[test]
    fn names_hold_for_their_time() {
        let (mut store, start) = (Store::new(10), Instant::now());
        let hour = Duration::from_secs(3600);
        assert_eq!(
            lines(&store.update(&[answer("a", [1, 2], 5), answer("b", [2], 7200)], start)),
            ["10.0.0.1 a", "10.0.0.2 b a"]
        );
        assert_eq!(store.update(&[answer("a", [1], 5)], start + hour / 2), [], "only its time is longer");
        let nothing = store.update(&[], start + MIN_TTL - Duration::from_nanos(1));
        assert_eq!((nothing, store.count()), (vec![], 2));
        assert_eq!(lines(&store.update(&[], start + MIN_TTL)), ["10.0.0.2 b"]);
        assert_eq!(lines(&store.update(&[], start + hour * 2)), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!((store.count(), store.take_evicted()), (0, 0));
        store.update(&[answer("c", [3], u64::from(u32::MAX))], start);
        assert_eq!(lines(&store.update(&[], start + MAX_TTL)), ["10.0.0.3"]);
    }

    #[test]
    fn first_expiring_name_makes_room() {
        const MAX: usize = 8;
        for n in [0, 1, MAX - 1, MAX, MAX + 1, MAX * 8] {
            let (mut store, now) = (Store::new(MAX), Instant::now());
            for number in 0..n {
                store.update(&[answer(&format!("n{number}"), [number], 4000 + number as u64)], now);
            }
            assert_eq!(store.count(), n.min(MAX), "{n}");
            assert_eq!(store.take_evicted(), n.saturating_sub(MAX) as u64, "{n}");
            assert!((n.saturating_sub(MAX)..n).all(|number| store.names.contains_key(&*format!("n{number}"))), "{n}");
            assert!(is_consistent(&store));
        }
    }

    #[test]
    fn addresses_and_names_have_limits() {
        let (mut store, now) = (Store::new(100), Instant::now());
        assert_eq!(store.update(&[answer("many", 0..MAX_ADDRESSES + 5, 60)], now).len(), MAX_ADDRESSES);
        assert_eq!(store.take_evicted(), 5);
        let shared: Vec<_> = (0..MAX_NAMES + 2).map(|number| answer(&format!("s{number}"), [999], 60)).collect();
        let changes = lines(&store.update(&shared, now));
        assert_eq!(changes, ["10.0.3.231 s9 s8 s7 s6 s5 s4 s3 s2"]);
        assert_eq!(store.take_evicted(), 2);
        assert!(is_consistent(&store));
        let (mut store, max) = (Store::new(10), 10 * ADDRESSES_PER_NAME);
        store.update(&[answer("a", 0..MAX_ADDRESSES, 60)], now);
        assert_eq!(store.expiries.len(), max);
        assert!(is_consistent(&store));
    }
}
