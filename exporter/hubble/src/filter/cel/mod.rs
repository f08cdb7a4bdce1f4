//! Filters in CEL (`experimental.cel_expression`). The flow is the variable `_flow`, a `flow.Flow`.
//!
//! A flow is converted to a message only for a filter with expressions, and only if its other fields match. Not supported
//! are extensions of CEL, construction of messages, types as values, parts of times, conversion of floating point numbers
//! to text, and patterns that are not literals.
//!
//! This is no wrapper of the crate `cel` (0.15): that one overflows a stack of 2 MiB on 16 KB of `1+1+…`, checks no types,
//! and has no bound for the steps of a flow.

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

/// Bytes of an expression. Long lists of constants fit; still longer ones have better fields.
const MAX_TEXT: usize = 16 << 10;
/// Expressions of a request.
const MAX_PROGRAMS: usize = 32;
/// Bytes that a checked expression takes for each byte of its text: `1,` is a literal.
const BYTES_PER_TEXT_BYTE: usize = 32;
/// The cost of an expression in `Filters::weight`; another field's entry costs 1. The flow is converted to a message.
pub(super) const WEIGHT: usize = 1000;

/// Counts the expressions of a request.
#[derive(Debug, Default)]
pub(super) struct ProgramBudget {
    programs: usize,
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
        if text.len() > MAX_TEXT {
            return Err(format!("more than {MAX_TEXT} bytes"));
        }
        if self.programs == MAX_PROGRAMS {
            return Err(format!("more than {MAX_PROGRAMS} expressions in one request"));
        }
        self.programs += 1;
        self.text_bytes += text.len();
        Ok(())
    }
}

/// The state that a request's expressions share for one flow: its message, made for the first of them, and the budget.
pub(super) struct EvaluationState {
    flow: OnceCell<Option<DynamicMessage>>,
    budget: RefCell<Budget>,
}

impl EvaluationState {
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

    /// Returns whether an expression is true. The first one that fails ends the evaluation.
    pub(super) fn matches(&self, observed: &Observed, context: &Context<'_>, shared: &EvaluationState) -> bool {
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
