//! A list. What is in a flow or an expression becomes a value only when it is looked at.

use std::rc::Rc;

use prost_reflect::Value as ProtoValue;

use super::parser::Literal;
use super::value::Value;

/// A list; to clone it copies nothing.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    /// Of the flow.
    Proto(&'a [ProtoValue]),
    /// Of the expression.
    Literals(&'a [Literal]),
    /// Made by the expression.
    Made(Rc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Proto(values) => values.len(),
            Self::Literals(literals) => literals.len(),
            Self::Made(values) => values.len(),
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Proto(values) => values.get(at).map(Value::of_proto),
            Self::Literals(literals) => literals.get(at).map(Value::of_literal),
            Self::Made(values) => values.get(at).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}
