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
mod literal;
mod message;
mod parser;
mod rc_cow;
mod value;

use std::cell::{OnceCell, RefCell};

use eyepiece_flow::record::Observed;
use prost_reflect::DynamicMessage;

use super::context::{Context, CpuClock};
use super::pattern_budget::PatternBudget;
use budget::Budget;
use check::Step;
use evaluate::Evaluation;
use value::Value;

/// Bytes of an expression at most. Long lists of constants fit; what is longer is better told by other fields.
const LONGEST: usize = 16 << 10;
/// Expressions of a request at most.
const MOST_PROGRAMS: usize = 32;
/// Bytes that a checked expression takes for each byte of its text: `1,` is a literal.
const BYTES_PER_TEXT_BYTE: usize = 32;
/// What an expression costs at most, beside one entry of another field, in [`super::Filters::weight`]: the flow becomes a
/// message for it.
pub(super) const WEIGHT: usize = 1000;

/// Counts the expressions of a request.
#[derive(Debug, Default)]
pub(super) struct ProgramBudget {
    programs: usize,
    /// Bytes of their texts.
    text_bytes: usize,
}

impl ProgramBudget {
    /// Expressions so far.
    pub(super) const fn used(&self) -> usize {
        self.programs
    }

    /// Bytes that the checked expressions hold, about, without their patterns.
    pub(super) const fn used_bytes(&self) -> usize {
        self.text_bytes * BYTES_PER_TEXT_BYTE
    }

    /// Charges an expression that is about to be checked.
    fn take(&mut self, text: &str) -> Result<(), String> {
        if text.len() > LONGEST {
            return Err(format!("more than {LONGEST} bytes"));
        }
        if self.programs == MOST_PROGRAMS {
            return Err(format!("more than {MOST_PROGRAMS} expressions in one request"));
        }
        self.programs += 1;
        self.text_bytes += text.len();
        Ok(())
    }
}

/// What the expressions of a request share for one flow: its message, made for the first of them, and the budget.
pub(super) struct Shared {
    flow: OnceCell<Option<DynamicMessage>>,
    budget: RefCell<Budget>,
}

impl Shared {
    pub(super) const fn new(clock: CpuClock) -> Self {
        Self { flow: OnceCell::new(), budget: RefCell::new(Budget::new(clock)) }
    }

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
    /// Compiles the entries of the field. An error comes with the invalid entry.
    pub(super) fn new<'a>(
        entries: &'a [String],
        programs: &mut ProgramBudget,
        patterns: &mut PatternBudget,
    ) -> Result<Self, (&'a str, String)> {
        let compile = |entry: &'a String| {
            programs.take(entry).and_then(|()| program(entry, patterns)).map_err(|error| (entry.as_str(), error))
        };
        entries.iter().map(compile).collect::<Result<_, _>>().map(Self)
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

fn program(text: &str, patterns: &mut PatternBudget) -> Result<Step, String> {
    check::check(&parser::parse(text)?, patterns)
}

#[cfg(test)]
mod tests;
