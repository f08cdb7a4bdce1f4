//! Filters in CEL (`experimental.cel_expression`): about a flow as Hubble's `flow.Flow` has it, the variable `_flow`.
//!
//! Only a filter that has such expressions makes flows into messages for them, and only what has passed its other
//! fields. Not taken, beside what only extensions of CEL have: making messages, types as values, parts of times, texts
//! from floating point numbers, and patterns that are no literals.

mod budget;
mod check;
mod evaluate;
mod functions;
mod kind;
mod lexer;
mod list;
mod message;
mod parser;
mod rc_cow;
mod value;

use std::cell::{OnceCell, RefCell};

use eyepiece_flow::record::Observed;
use prost_reflect::DynamicMessage;

use super::{Context, expression};
use budget::Budget;
use check::Step;
use evaluate::Evaluation;
use value::Value;

/// Bytes of an expression at most. Long lists of constants fit; what is longer is better told by other fields.
const LONGEST: usize = 16 << 10;
/// Expressions of a request at most.
const MOST_PROGRAMS: usize = 32;
/// Bytes that a checked expression takes for each of its text: `1,` is a literal.
const BYTES_OF_A_BYTE: usize = 32;
/// What an expression costs at most, beside one entry of another field, in [`super::Filters::weight`]: the flow becomes a
/// message for it.
pub(super) const WEIGHT: usize = 1000;

/// What is left for the expressions of a request.
#[derive(Debug)]
pub(super) struct Room {
    programs: usize,
    /// Bytes of their texts.
    texts: usize,
    patterns: expression::Room,
}

impl Room {
    /// How many expressions there are.
    pub(super) const fn used(&self) -> usize {
        MOST_PROGRAMS - self.programs
    }

    /// Bytes that they take, about.
    pub(super) const fn size(&self) -> usize {
        self.texts * BYTES_OF_A_BYTE + self.patterns.size()
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { programs: MOST_PROGRAMS, texts: 0, patterns: expression::Room::default() }
    }
}

/// What the expressions of a request share for one flow: the message that it becomes for the first of them, and what
/// they may still cost.
#[derive(Default)]
pub(super) struct Shared {
    flow: OnceCell<Option<DynamicMessage>>,
    budget: RefCell<Budget>,
}

impl Shared {
    fn flow(&self, observed: &Observed, context: &Context<'_>) -> Option<&DynamicMessage> {
        let make = || {
            let (flow, bytes) = message::of(observed, context)?;
            self.budget.borrow_mut().flow_bytes = bytes;
            Some(flow)
        };
        self.flow.get_or_init(make).as_ref()
    }
}

/// The expressions of a filter.
#[derive(Debug)]
pub(super) struct Programs(Vec<Step>);

impl Programs {
    /// From the entries of the field. Gives the entry that is none with the error.
    pub(super) fn new<'a>(entries: &'a [String], room: &mut Room) -> Result<Self, (&'a str, String)> {
        let one = |entry: &'a String| program(entry, room).map_err(|why| (entry.as_str(), why));
        entries.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them is true; the first that fails before ends it.
    pub(super) fn matches(&self, observed: &Observed, context: &Context<'_>, shared: &Shared) -> bool {
        let Some(flow) = shared.flow(observed, context) else { return false };
        let budget = &mut *shared.budget.borrow_mut();
        for program in &self.0 {
            match Evaluation::new(flow, budget).step(program) {
                Some(Value::Bool(false)) => {}
                value => return matches!(value, Some(Value::Bool(true))),
            }
        }
        false
    }
}

fn program(text: &str, room: &mut Room) -> Result<Step, String> {
    if text.len() > LONGEST {
        return Err(format!("more than {LONGEST} bytes"));
    }
    room.programs =
        room.programs.checked_sub(1).ok_or_else(|| format!("more than {MOST_PROGRAMS} expressions in one request"))?;
    room.texts += text.len();
    check::check(&parser::parse(text)?, &mut room.patterns)
}

#[cfg(test)]
mod tests;
