//! The address book: which addresses are behind which endpoint, and which are the machine's own.
//!
//! Two sources: addresses configured in the namespace behind an endpoint, read by netlink, and source addresses of the
//! endpoint's packets. A packet's source may be forged: it counts while the host's own tables lead back to the
//! endpoint ([`super::routes`]), and it expires. Pure data: the caller passes the time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The most source addresses kept per endpoint, confirmed or not: one that forwards for others would fill any table.
pub const MAX_LEARNED: usize = 64;
/// The most configured addresses kept per endpoint: another namespace controls them.
pub const MAX_CONFIGURED: usize = 1024;
/// The lifetime of a learned address after its last hint. [`super::learner`] repeats hints every minute.
pub const LEARNED_TTL: Duration = Duration::from_secs(300);

/// The addresses of one endpoint.
#[derive(Debug, Default)]
struct Entry {
    configured: BTreeSet<IpAddr>,
    learned: BTreeMap<IpAddr, LearnedAddress>,
}

/// A source address of an endpoint's packets.
#[derive(Clone, Copy, Debug)]
struct LearnedAddress {
    until: Instant,
    /// Whether the host's tables lead to the endpoint.
    confirmed: bool,
}

/// The outcome of [`AddressBook::learn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearnOutcome {
    /// New, and not confirmed.
    New,
    /// Known already; its life is extended.
    Known,
    /// Configured behind the endpoint.
    Configured,
    /// The endpoint has [`MAX_LEARNED`] already.
    Full,
    /// Not an endpoint's: multicast, loopback, unspecified, the machine's, or configured for another endpoint.
    Unfit,
    /// No such endpoint.
    Gone,
}

/// Addresses of endpoints, by interface index, and of the machine.
#[derive(Debug, Default)]
pub struct AddressBook {
    host: BTreeSet<IpAddr>,
    endpoints: BTreeMap<u32, Entry>,
}

impl AddressBook {
    /// The machine's own addresses.
    pub fn host(&self) -> impl Iterator<Item = IpAddr> {
        self.host.iter().copied()
    }

    /// The addresses behind an endpoint, configured ones first, then learned and confirmed ones; true = learned.
    pub fn endpoint(&self, ifindex: u32) -> impl Iterator<Item = (IpAddr, bool)> {
        let entry = self.endpoints.get(&ifindex);
        let configured = entry.into_iter().flat_map(|entry| entry.configured.iter().map(|&address| (address, false)));
        let learned = entry.into_iter().flat_map(|entry| &entry.learned).filter(|(_, learned)| learned.confirmed);
        configured.chain(learned.map(|(&address, _)| (address, true)))
    }

    /// Sets the machine's own addresses; returns whether they changed.
    pub fn set_host(&mut self, addresses: impl IntoIterator<Item = IpAddr>) -> bool {
        let addresses = addresses.into_iter().collect();
        let changed = self.host != addresses;
        self.host = addresses;
        changed
    }

    /// Sets the configured addresses of an endpoint; returns whether they changed.
    pub fn set_configured(&mut self, ifindex: u32, addresses: impl IntoIterator<Item = IpAddr>) -> bool {
        let entry = self.endpoints.entry(ifindex).or_default();
        let addresses: BTreeSet<IpAddr> = addresses.into_iter().filter(is_unicast).take(MAX_CONFIGURED).collect();
        entry.learned.retain(|address, _| !addresses.contains(address));
        let changed = entry.configured != addresses;
        entry.configured = addresses;
        changed
    }

    /// Adds an endpoint without addresses.
    pub fn add(&mut self, ifindex: u32) {
        self.endpoints.entry(ifindex).or_default();
    }

    /// Removes an endpoint; returns whether it was there.
    pub fn remove(&mut self, ifindex: u32) -> bool {
        self.endpoints.remove(&ifindex).is_some()
    }

    /// Removes all endpoints that are not alive.
    pub fn retain(&mut self, is_alive: impl Fn(u32) -> bool) {
        self.endpoints.retain(|&ifindex, _| is_alive(ifindex));
    }

    /// Records that an endpoint sent from an address.
    pub fn learn(&mut self, ifindex: u32, address: IpAddr, now: Instant) -> LearnOutcome {
        if !is_unicast(&address) || self.host.contains(&address) {
            return LearnOutcome::Unfit;
        }
        let owned_by_another =
            |(&other, entry): (&u32, &Entry)| other != ifindex && entry.configured.contains(&address);
        if self.endpoints.iter().any(owned_by_another) {
            return LearnOutcome::Unfit;
        }
        let Some(entry) = self.endpoints.get_mut(&ifindex) else { return LearnOutcome::Gone };
        if entry.configured.contains(&address) {
            return LearnOutcome::Configured;
        }
        let until = now + LEARNED_TTL;
        if let Some(known) = entry.learned.get_mut(&address) {
            known.until = until;
            return LearnOutcome::Known;
        }
        if entry.learned.len() >= MAX_LEARNED {
            return LearnOutcome::Full;
        }
        entry.learned.insert(address, LearnedAddress { until, confirmed: false });
        LearnOutcome::New
    }

    /// Records whether the host's tables lead to an endpoint by a learned address; returns whether that changed.
    pub fn confirm(&mut self, ifindex: u32, address: IpAddr, confirmed: bool) -> bool {
        let learned = self.endpoints.get_mut(&ifindex).and_then(|entry| entry.learned.get_mut(&address));
        learned.is_some_and(|learned| std::mem::replace(&mut learned.confirmed, confirmed) != confirmed)
    }

    /// Removes expired learned addresses; returns whether a confirmed one was among them.
    pub fn expire(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for entry in self.endpoints.values_mut() {
            entry.learned.retain(|_, learned| {
                let stays = learned.until > now;
                changed |= !stays && learned.confirmed;
                stays
            });
        }
        changed
    }
}

/// Returns whether an address can belong to a single interface.
fn is_unicast(address: &IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || is_broadcast)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::{AddressBook, LEARNED_TTL, LearnOutcome, MAX_CONFIGURED, MAX_LEARNED};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nth(n: usize) -> IpAddr {
        IpAddr::from(u32::try_from(0x0a00_0001 + n).unwrap().to_be_bytes())
    }

    #[test]
    fn sent_addresses_need_confirmation() {
        let now = Instant::now();
        let mut address_book = AddressBook::default();
        assert!(address_book.set_host([ip("192.0.2.1"), ip("127.0.0.1")]));
        assert!(address_book.set_configured(7, [ip("10.0.0.7"), ip("fe80::7")]));
        assert!(!address_book.set_configured(7, [ip("fe80::7"), ip("10.0.0.7"), ip("127.0.0.1"), ip("::1")]));
        address_book.add(8);
        for (ifindex, address, expected) in [
            (7, "10.0.0.7", LearnOutcome::Configured),
            (7, "10.0.0.9", LearnOutcome::New),
            (7, "10.0.0.9", LearnOutcome::Known),
            (8, "10.0.0.9", LearnOutcome::New),
            (8, "10.0.0.7", LearnOutcome::Unfit),
            (8, "192.0.2.1", LearnOutcome::Unfit),
            (8, "0.0.0.0", LearnOutcome::Unfit),
            (8, "::", LearnOutcome::Unfit),
            (8, "::1", LearnOutcome::Unfit),
            (8, "127.0.0.9", LearnOutcome::Unfit),
            (8, "224.0.0.1", LearnOutcome::Unfit),
            (8, "ff02::1", LearnOutcome::Unfit),
            (8, "255.255.255.255", LearnOutcome::Unfit),
            (9, "10.0.0.10", LearnOutcome::Gone),
        ] {
            assert_eq!(address_book.learn(ifindex, ip(address), now), expected, "{ifindex} {address}");
        }
        let mut known: Vec<_> = address_book.endpoint(7).collect();
        assert_eq!(known, [(ip("10.0.0.7"), false), (ip("fe80::7"), false)], "not confirmed");
        assert!(address_book.confirm(7, ip("10.0.0.9"), true) && !address_book.confirm(7, ip("10.0.0.9"), true));
        assert!(
            !address_book.confirm(7, ip("10.0.0.8"), true) && !address_book.confirm(9, ip("10.0.0.9"), true),
            "not learned"
        );
        known = address_book.endpoint(7).collect();
        assert_eq!(known, [(ip("10.0.0.7"), false), (ip("fe80::7"), false), (ip("10.0.0.9"), true)]);
        address_book.set_configured(7, [ip("10.0.0.9")]);
        assert_eq!(address_book.endpoint(7).collect::<Vec<_>>(), [(ip("10.0.0.9"), false)], "configured wins");
        assert!(address_book.remove(7) && !address_book.remove(7));
        assert_eq!(address_book.endpoint(7).count(), 0);
    }

    #[test]
    fn learned_capacity_edges() {
        let now = Instant::now();
        for n in [0, 1, MAX_LEARNED - 1, MAX_LEARNED, MAX_LEARNED + 1] {
            let mut address_book = AddressBook::default();
            address_book.add(1);
            let new = (0..n).filter(|&n| address_book.learn(1, nth(n), now) == LearnOutcome::New).count();
            assert_eq!(new, n.min(MAX_LEARNED), "{n}");
            assert_eq!(address_book.learn(1, nth(0), now) == LearnOutcome::Known, n > 0, "known ones need no room");
        }
    }

    #[test]
    fn configured_addresses_are_bounded() {
        for n in [MAX_CONFIGURED - 1, MAX_CONFIGURED, MAX_CONFIGURED + 1] {
            let mut address_book = AddressBook::default();
            address_book.set_configured(1, (0..n).map(nth));
            assert_eq!(address_book.endpoint(1).count(), n.min(MAX_CONFIGURED), "{n}");
        }
    }

    #[test]
    fn learned_addresses_expire() {
        let start = Instant::now();
        let mut address_book = AddressBook::default();
        address_book.add(1);
        address_book.learn(1, nth(0), start);
        address_book.learn(1, nth(1), start);
        address_book.learn(1, nth(1), start + Duration::from_secs(1));
        address_book.learn(1, nth(2), start);
        address_book.confirm(1, nth(0), true);
        address_book.confirm(1, nth(1), true);
        assert!(!address_book.expire(start + LEARNED_TTL - Duration::from_nanos(1)));
        assert!(address_book.expire(start + LEARNED_TTL));
        assert_eq!(address_book.endpoint(1).collect::<Vec<_>>(), [(nth(1), true)]);
        assert!(address_book.expire(start + LEARNED_TTL + Duration::from_secs(1)));
        assert_eq!(address_book.endpoint(1).count(), 0);
    }

    #[test]
    fn unconfirmed_addresses_expire_unnoticed() {
        let start = Instant::now();
        let mut address_book = AddressBook::default();
        address_book.add(1);
        address_book.learn(1, nth(0), start);
        assert!(!address_book.expire(start + LEARNED_TTL), "nothing published changed");
        assert_eq!(address_book.learn(1, nth(0), start + LEARNED_TTL), LearnOutcome::New);
        address_book.confirm(1, nth(0), true);
        assert_eq!(address_book.endpoint(1).count(), 1);
        assert!(address_book.confirm(1, nth(0), false));
        assert_eq!(address_book.endpoint(1).count(), 0, "the host's tables lead elsewhere");
    }
}
