//! Source addresses of endpoints, from the pipeline's thread to the watcher: rare, bounded, without waiting.

use std::net::IpAddr;

use tokio::sync::mpsc;

use crate::support::telemetry::Number;

/// Capacity of the hint queue. The watcher drains it within milliseconds; packets repeat dropped hints every minute.
pub const MAX_HINTS: usize = 256;
/// The interval between hints of a pair, ns: short enough to stay known ([`super::address_book::LEARNED_TTL`]), long
/// enough that most packets cost only a look-up in [`Learner::recent`].
const REPEAT: u64 = 60_000_000_000;
/// Slots of recent pairs: a power of two, so that a mask finds a slot. 20 KiB.
const SLOTS: usize = 512;

/// An endpoint's interface sent a packet from this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The endpoint's interface.
    pub ifindex: u32,
    /// The packet's source.
    pub address: IpAddr,
}

#[derive(Clone, Copy, Debug)]
struct RecentHint {
    hint: Hint,
    at: u64,
}

/// The pipeline's side: one per thread.
#[derive(Debug)]
pub struct Learner {
    sender: mpsc::Sender<Hint>,
    recent: Box<[Option<RecentHint>; SLOTS]>,
    dropped: Number,
}

impl Learner {
    /// Creates a learner and the receiver of its hints; `dropped` counts hints that found no room.
    pub fn new(dropped: Number) -> (Self, mpsc::Receiver<Hint>) {
        let (sender, receiver) = mpsc::channel(MAX_HINTS);
        (Self { sender, recent: Box::new([None; SLOTS]), dropped }, receiver)
    }

    /// Sends a hint that an endpoint's interface sent from an address, at a time in ns since the Unix epoch.
    pub fn learn(&mut self, ifindex: u32, address: IpAddr, now: u64) {
        let hint = Hint { ifindex, address };
        let slot = &mut self.recent[slot_of(&hint)];
        if slot.is_some_and(|recent| recent.hint == hint && now.saturating_sub(recent.at) < REPEAT) {
            return;
        }
        *slot = Some(RecentHint { hint, at: now });
        if self.sender.try_send(hint).is_err() {
            self.dropped.add(1);
        }
    }
}

fn slot_of(hint: &Hint) -> usize {
    let bits = match hint.address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    // Folds all bits into the upper ones of a product (Knuth's multiplicative hashing, 2^64 / φ).
    let folded = (bits as u64) ^ ((bits >> 64) as u64) ^ u64::from(hint.ifindex).rotate_left(32);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Learner, MAX_HINTS, REPEAT};
    use crate::support::telemetry::Number;

    fn nth(n: usize) -> IpAddr {
        IpAddr::from(u32::try_from(0x0a00_0001 + n).unwrap().to_be_bytes())
    }

    #[test]
    fn pair_is_repeated_after_a_minute() {
        let (mut learner, mut hints) = Learner::new(Number::default());
        for (ifindex, address, now, is_sent) in [
            (7, nth(0), 0, true),
            (7, nth(0), 1, false),
            (7, nth(0), REPEAT - 1, false),
            (7, nth(0), REPEAT, true),
            (7, nth(0), REPEAT - 5, false),
            (7, nth(1), REPEAT, true),
            (8, nth(0), REPEAT, true),
            (8, "fd00::1".parse().unwrap(), REPEAT, true),
        ] {
            learner.learn(ifindex, address, now);
            assert_eq!(hints.try_recv().is_ok(), is_sent, "{ifindex} {address} {now}");
        }
    }

    #[test]
    fn dropped_hints_are_counted() {
        for n in [0, 1, MAX_HINTS - 1, MAX_HINTS, MAX_HINTS + 1, MAX_HINTS * 2] {
            let dropped = Number::default();
            let (mut learner, mut hints) = Learner::new(dropped.clone());
            for n in 0..n {
                learner.learn(u32::try_from(n).unwrap(), nth(n), 0);
            }
            let kept = std::iter::from_fn(|| hints.try_recv().ok()).count();
            assert_eq!((kept, dropped.get()), (n.min(MAX_HINTS), n.saturating_sub(MAX_HINTS) as u64), "{n}");
        }
    }
}
