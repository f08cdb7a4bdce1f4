//! Filters in CEL (`experimental.cel_expression`): about a flow as Hubble's `flow.Flow` has it, the variable `_flow`.
//!
//! Only a filter that has such expressions makes flows into messages for them, and only what has passed its other
//! fields. Not taken, beside what only extensions of CEL have: making messages, types as values, parts of times, texts
//! from floating point numbers, and patterns that are no literals.

mod check;
mod evaluate;
mod functions;
mod kind;
mod lexer;
mod message;
mod parser;
mod value;

use crate::observed::Observed;

use super::{Context, expression};
use check::Step;
use evaluate::{Budget, Evaluation};
use value::Value;

/// Bytes of an expression at most. Long lists of constants fit; what is longer is better told by other fields.
const LONGEST: usize = 16 << 10;
/// Expressions of a request at most.
const MOST_PROGRAMS: usize = 32;
/// Steps that the expressions of one filter take for one flow at most: below a millisecond. An expression that needs
/// more fails for this flow as one with an error does.
const STEPS: usize = 20_000;

/// What is left for the expressions of a request.
#[derive(Debug)]
pub(super) struct Room {
    programs: usize,
    patterns: expression::Room,
}

impl Default for Room {
    fn default() -> Self {
        Self { programs: MOST_PROGRAMS, patterns: expression::Room::default() }
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
    pub(super) fn matches(&self, observed: &Observed, context: &Context<'_>) -> bool {
        let Some(flow) = message::of(observed, context) else { return false };
        let mut budget = Budget::new(STEPS);
        for program in &self.0 {
            match Evaluation::new(&flow, &mut budget).step(program) {
                Some(Value::Bool(true)) => return true,
                Some(Value::Bool(false)) => {}
                _ => return false,
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
    check::check(&parser::parse(text)?, &mut room.patterns)
}

#[cfg(test)]
mod tests;
