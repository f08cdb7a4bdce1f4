//! The layout of a client's messages: their kind and their fields.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use eyepiece_flow::record::Observed;
use prost_types::FieldMask;

use crate::encode::Encoder;
use crate::field_mask::{InvalidMask, Mask};
use crate::query::Kind;

/// Masks that keep their number, most recently used first. Programs have a handful, and each costs the memory of its
/// cached messages. A stream keeps its number if its mask is evicted, and shares messages with streams of that number.
const KEPT: usize = 8;

/// The masks of clients, numbered.
#[derive(Debug, Default)]
pub struct Masks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Masks and their numbers, most recently used first.
    masks: VecDeque<(Mask, u64)>,
    /// The next number. Numbers are not reused: messages of an evicted mask may still be cached.
    next: u64,
}

impl Known {
    fn number(&mut self, mask: &Mask) -> u64 {
        let index = self.masks.iter().position(|(known, _)| known == mask);
        let known = index.and_then(|index| self.masks.remove(index)).unwrap_or_else(|| {
            let number = self.next;
            self.next += 1;
            (mask.clone(), number)
        });
        let number = known.1;
        self.masks.push_front(known);
        self.masks.truncate(KEPT);
        number
    }
}

impl Masks {
    /// Returns the layout of flows with the fields of a mask, or all fields; on request with our own extension.
    ///
    /// # Errors
    /// A path of the mask is invalid.
    pub fn layout(&self, mask: Option<&FieldMask>, extension: bool) -> Result<Layout, InvalidMask> {
        let mask = Mask::of_flow(mask.map_or(&[][..], |mask| &mask.paths))?.with_extension(extension);
        let number = self.0.lock().unwrap_or_else(PoisonError::into_inner).number(&mask);
        Ok(Layout { kind: Kind::Flows, mask, number: Some(number) })
    }
}

/// The layout of a stream's messages.
#[derive(Debug)]
pub struct Layout {
    kind: Kind,
    mask: Mask,
    number: Option<u64>,
}

impl Layout {
    /// The layout of events other than flows, without a mask.
    pub const fn event(kind: Kind) -> Self {
        Self { kind, mask: Mask::ALL, number: None }
    }

    /// The number of this layout, for a cache of messages; `None` if they are not to be cached.
    pub const fn number(&self) -> Option<u64> {
        self.number
    }

    /// Appends the message of an entry of the layout's kind, or of a loss.
    pub fn write(&self, encoder: &Encoder<'_>, observed: &Observed, out: &mut Vec<u8>) {
        match (self.kind, observed) {
            (Kind::AgentEvents, Observed::Agent(event)) => encoder.agent_events_response(event, out),
            (Kind::DebugEvents, Observed::Debug(event)) => encoder.debug_events_response(event, out),
            _ => {
                encoder.flows_response(observed, &self.mask, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::FieldMask;

    use super::{KEPT, Masks};

    #[test]
    fn evicted_mask_gets_new_number() {
        let masks = Masks::default();
        let number = |path: &str| {
            let mask = FieldMask { paths: vec![path.to_owned()] };
            masks.layout(Some(&mask), false).expect("a path").number().expect("a number")
        };
        let paths =
            ["uuid", "time", "verdict", "l4", "IP", "ethernet", "source", "destination", "node_name", "is_reply"];
        assert!(paths.len() > KEPT);
        let numbers: Vec<_> = paths.iter().map(|path| number(path)).collect();
        for (path, before) in paths.iter().zip(&numbers).rev().take(KEPT) {
            assert_eq!(number(path), *before, "{path}");
        }
        // The least recently used one was evicted, and gets an unused number.
        let again = number(paths[0]);
        assert!(!numbers.contains(&again));
        assert_eq!(number(paths[0]), again);
        assert_eq!(number(paths[2]), numbers[2], "it was used recently");
    }
}
