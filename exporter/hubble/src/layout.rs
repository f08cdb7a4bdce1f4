//! How a client wants its messages: of which kind, and with which fields.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use eyepiece_flow::record::Observed;
use prost_types::FieldMask;

use crate::encode::Encoder;
use crate::field_mask::{InvalidMask, Mask};
use crate::query::Kind;

/// Masks that are known, those that were asked for last: clients have a handful of their programs' own, and each costs the
/// memory of its messages. A stream whose mask is known no more shares its messages with those that began as it did.
const KEPT: usize = 8;

/// The masks that clients have used.
#[derive(Debug, Default)]
pub struct Masks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// With their numbers, the last one that was asked for first.
    masks: VecDeque<(Mask, u64)>,
    /// The next number. None is given twice: messages of the mask that had it may still be kept.
    next: u64,
}

impl Known {
    fn number(&mut self, mask: &Mask) -> u64 {
        let place = self.masks.iter().position(|(known, _)| known == mask);
        let known = place.and_then(|place| self.masks.remove(place)).unwrap_or_else(|| {
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
    /// The layout of a flow with the fields of a mask; all of them where there is none. With our own extension if the client
    /// asks for it.
    ///
    /// # Errors
    /// A path is none.
    pub fn layout(&self, mask: Option<&FieldMask>, extension: bool) -> Result<Layout, InvalidMask> {
        let mask = Mask::of_flow(mask.map_or(&[][..], |mask| &mask.paths))?.with_extension(extension);
        let number = self.0.lock().unwrap_or_else(PoisonError::into_inner).number(&mask);
        Ok(Layout { kind: Kind::Flows, mask, number: Some(number) })
    }
}

/// A layout.
#[derive(Debug)]
pub struct Layout {
    kind: Kind,
    mask: Mask,
    number: Option<u64>,
}

impl Layout {
    /// The layout of other events than flows: always whole.
    pub const fn event(kind: Kind) -> Self {
        Self { kind, mask: Mask::ALL, number: None }
    }

    /// A number for messages of this layout; none where they are not worth to be kept.
    pub const fn number(&self) -> Option<u64> {
        self.number
    }

    /// Appends the message of an entry, which is of the layout's kind or a loss.
    pub fn write(&self, encoder: &Encoder, observed: &Observed, out: &mut Vec<u8>) {
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
    fn masks_that_others_once_had_keep_nobody_out() {
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
        // Whose turn was longest ago makes room, and comes again with a number that nobody had.
        let again = number(paths[0]);
        assert!(!numbers.contains(&again));
        assert_eq!(number(paths[0]), again);
        assert_eq!(number(paths[2]), numbers[2], "it was asked for last");
    }
}
