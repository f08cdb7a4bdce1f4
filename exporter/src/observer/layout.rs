//! How a client wants its messages: of which kind, and with which fields.

use std::sync::{Mutex, PoisonError};

use prost_types::FieldMask;

use super::query::Kind;
use crate::hubble::encode::Encoder;
use crate::hubble::mask::{InvalidMask, Mask};
use crate::observed::Observed;

/// Masks whose messages are kept for others: clients have a handful of their programs' own, and each costs the memory of
/// its messages.
const KEPT: usize = 8;

/// The masks that clients have used.
#[derive(Debug, Default)]
pub struct Masks(Mutex<Vec<Mask>>);

impl Masks {
    /// The layout of a flow with the fields of a mask; all of them where there is none.
    ///
    /// # Errors
    /// A path is none.
    pub fn layout(&self, mask: Option<&FieldMask>) -> Result<Layout, InvalidMask> {
        let mask = Mask::of_flow(mask.map_or(&[][..], |mask| &mask.paths))?;
        let mut masks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = masks.iter().position(|known| *known == mask);
        if number.is_none() && masks.len() < KEPT {
            number = Some(masks.len());
            masks.push(mask.clone());
        }
        Ok(Layout { kind: Kind::Flows, mask, number: number.map(|number| number as u32) })
    }
}

/// A layout.
#[derive(Debug)]
pub struct Layout {
    kind: Kind,
    mask: Mask,
    number: Option<u32>,
}

impl Layout {
    /// The layout of other events than flows: always whole.
    pub const fn event(kind: Kind) -> Self {
        Self { kind, mask: Mask::ALL, number: None }
    }

    /// A number for messages of this layout; none where they are not worth to be kept.
    pub const fn number(&self) -> Option<u32> {
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
