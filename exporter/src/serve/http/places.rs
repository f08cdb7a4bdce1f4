//! The places of a server's connections: bounded in total and from one address.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::refusal::RefusalReason;
use crate::support::lock::lock;

/// The most connections at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In total.
    pub connections: usize,
    /// From one IP address.
    pub per_address: usize,
}

/// The places of a server; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    limits: Limits,
    occupied: Arc<Mutex<Occupied>>,
}

/// The connections by number: the oldest one is the first.
#[derive(Debug, Default)]
struct Occupied {
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    address: IpAddr,
    /// Whether its request is complete.
    has_request: bool,
    /// Dropped when the place is given to another connection.
    _end: oneshot::Sender<Infallible>,
}

/// The place of one connection; a drop frees it.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Places,
}

/// Completes when another connection takes the place.
pub(super) type Displaced = oneshot::Receiver<Infallible>;

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, occupied: Arc::default() }
    }

    /// Returns a place for a new connection. At a limit it is that of the oldest connection without a complete request.
    ///
    /// # Errors
    /// The limit that is reached, if each connection has sent its request.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(Place, Displaced), RefusalReason> {
        // An IPv4 client of an IPv6 listener has one address.
        let address = address.to_canonical();
        let mut occupied = lock(&self.occupied);
        let of_address = occupied.connections.values().filter(|connection| connection.address == address).count();
        if of_address >= self.limits.per_address {
            occupied.displace(|connection| connection.address == address, RefusalReason::TooManyOfAddress)?;
        } else if occupied.connections.len() >= self.limits.connections {
            occupied.displace(|_| true, RefusalReason::TooManyConnections)?;
        }
        let (end, displaced) = oneshot::channel();
        let number = occupied.next;
        occupied.next += 1;
        occupied.connections.insert(number, Connection { address, has_request: false, _end: end });
        Ok((Place { number, places: self.clone() }, displaced))
    }
}

impl Occupied {
    /// Frees the place of the oldest connection of a kind without a complete request, or returns the error.
    fn displace(
        &mut self,
        is_candidate: impl Fn(&Connection) -> bool,
        error: RefusalReason,
    ) -> Result<(), RefusalReason> {
        let mut waiting = self.connections.iter().filter(|(_, connection)| !connection.has_request);
        let oldest = waiting.find(|(_, connection)| is_candidate(connection)).map(|(number, _)| *number);
        let oldest = oldest.ok_or(error)?;
        self.connections.remove(&oldest);
        Ok(())
    }
}

impl Place {
    /// Keeps the place until the connection's end: its request is complete.
    pub(super) fn keep(&self) {
        if let Some(connection) = lock(&self.places.occupied).connections.get_mut(&self.number) {
            connection.has_request = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.occupied).connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::{Displaced, Limits, Place, Places, RefusalReason};

    const LIMITS: Limits = Limits { connections: 4, per_address: 2 };

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// Admits a connection from each address. Those whose request is complete keep their places.
    fn admit(places: &Places, connections: &[(u8, bool)]) -> Vec<(Place, Displaced)> {
        let mut admitted = Vec::new();
        for (last, has_request) in connections {
            let (place, displaced) = places.admit(address(*last)).unwrap();
            if *has_request {
                place.keep();
            }
            admitted.push((place, displaced));
        }
        admitted
    }

    #[test]
    fn newcomer_displaces_oldest_waiting_connection() {
        let (complete, waiting) = (true, false);
        for (name, connections, newcomer, expected) in [
            ("the first", vec![], 1, Ok(None)),
            ("room in both limits", vec![(1, complete), (2, complete), (3, complete)], 1, Ok(None)),
            ("oldest of its address", vec![(2, waiting), (1, waiting), (1, waiting)], 1, Ok(Some(1))),
            ("other of its address", vec![(2, waiting), (1, complete), (1, waiting)], 1, Ok(Some(2))),
            (
                "address is full",
                vec![(2, waiting), (1, complete), (1, complete)],
                1,
                Err(RefusalReason::TooManyOfAddress),
            ),
            ("oldest of all", vec![(1, complete), (2, waiting), (3, waiting), (4, waiting)], 5, Ok(Some(1))),
            (
                "all have requests",
                vec![(1, complete), (2, complete), (3, complete), (4, complete)],
                5,
                Err(RefusalReason::TooManyConnections),
            ),
        ] {
            let places = Places::new(LIMITS);
            let mut admitted = admit(&places, &connections);
            let result = places.admit(address(newcomer));
            let ended = |(_, displaced): &mut (Place, Displaced)| displaced.try_recv() == Err(TryRecvError::Closed);
            let displaced = admitted.iter_mut().position(ended);
            assert_eq!(result.map(|_| displaced), expected, "{name}");
        }
    }

    #[test]
    fn dropped_places_are_free() {
        let places = Places::new(LIMITS);
        let mut admitted = admit(&places, &[(1, true), (1, true)]);
        assert_eq!(places.admit(address(1)).unwrap_err(), RefusalReason::TooManyOfAddress);
        admitted.pop();
        assert!(places.admit(address(1)).is_ok());
    }

    #[test]
    fn displaced_place_frees_no_other() {
        let places = Places::new(Limits { connections: 1, per_address: 1 });
        let mut first = admit(&places, &[(1, false)]);
        let second = admit(&places, &[(2, true)]);
        // The request of a displaced connection may be complete before its end.
        first[0].0.keep();
        first.clear();
        assert_eq!(places.admit(address(3)).unwrap_err(), RefusalReason::TooManyConnections);
        drop(second);
        assert!(places.admit(address(3)).is_ok());
    }

    #[test]
    fn mapped_address_counts_as_ipv4() {
        let places = Places::new(LIMITS);
        let _admitted = admit(&places, &[(1, true), (1, true)]);
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(places.admit(mapped).unwrap_err(), RefusalReason::TooManyOfAddress);
    }
}
