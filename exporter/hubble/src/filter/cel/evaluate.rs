//! Evaluates a checked expression within a budget, since a client's expression runs for every flow.

use std::rc::Rc;

use prost_reflect::DynamicMessage;

use super::budget::Budget;
use super::check::{Fold, FoldKind, Step};
use super::value::{List, Value};

pub(super) struct Evaluation<'a, 'b> {
    pub(super) flow: &'a DynamicMessage,
    pub(super) budget: &'b mut Budget,
    variables: Vec<Value<'a>>,
}

impl<'a, 'b> Evaluation<'a, 'b> {
    pub(super) const fn new(flow: &'a DynamicMessage, budget: &'b mut Budget) -> Self {
        Self { flow, budget, variables: Vec::new() }
    }

    /// Evaluates a step; `None` if it fails.
    pub(super) fn step(&mut self, step: &'a Step) -> Option<Value<'a>> {
        self.budget.spend(1)?;
        match step {
            Step::Literal(literal) => Some(Value::of_literal(literal)),
            Step::Flow => Some(Value::Message(self.flow)),
            Step::Variable(at) => self.variables.get(*at).cloned(),
            Step::Field(operand, field) => self.step(operand)?.field(field),
            Step::HasField(operand, field) => Some(Value::Bool(self.step(operand)?.has_field(field)?)),
            Step::Key(operand, key) => self.step(operand)?.key(key, self.budget),
            Step::HasKey(operand, key) => Some(Value::Bool(self.step(operand)?.has_key(key, self.budget)?)),
            // A failing operand does not matter if another one decides.
            Step::And(operands) => self.any_or_all(operands, false),
            Step::Or(operands) => self.any_or_all(operands, true),
            Step::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.step(condition)? {
                    Value::Bool(true) => self.step(then),
                    Value::Bool(false) => self.step(otherwise),
                    _ => None,
                }
            }
            Step::Unary(function, argument) => {
                let argument = self.step(argument)?;
                self.budget.read(argument.weight())?;
                function.of_one(argument, self.budget)
            }
            Step::Binary(function, arguments) => {
                let [one, two] = &**arguments;
                let (one, two) = (self.step(one)?, self.step(two)?);
                self.budget.read(one.weight() + two.weight())?;
                function.of_two(one, two, self.budget)
            }
            Step::Literals(literals) => Some(Value::List(List::Literals(literals))),
            Step::List(elements) => {
                let mut values = self.allocate(elements.len())?;
                for element in elements {
                    values.push(self.step(element)?);
                }
                Some(Value::of_values(values))
            }
            Step::Map(entries) => {
                let mut values = self.allocate(entries.len())?;
                for (key, value) in entries {
                    values.push((self.step(key)?, self.step(value)?));
                }
                Some(Value::Map(Rc::new(values)))
            }
            Step::Fold(fold) => self.fold(fold),
        }
    }

    /// Evaluates all or any of the operands: the value `decisive` ends it.
    fn any_or_all(&mut self, operands: &'a [Step], decisive: bool) -> Option<Value<'a>> {
        let mut failed = false;
        for operand in operands {
            match self.step(operand) {
                Some(Value::Bool(value)) if value == decisive => return Some(Value::Bool(decisive)),
                Some(Value::Bool(_)) => {}
                _ => failed = true,
            }
        }
        (!failed).then_some(Value::Bool(!decisive))
    }

    /// Allocates a list for so many values.
    fn allocate<T>(&mut self, length: usize) -> Option<Vec<T>> {
        self.budget.allocate(length.checked_mul(size_of::<T>())?)?;
        Some(Vec::with_capacity(length))
    }

    fn fold(&mut self, fold: &'a Fold) -> Option<Value<'a>> {
        let range = self.step(&fold.range)?;
        let (mut failed, mut found) = (false, 0usize);
        let mut kept = match fold.kind {
            FoldKind::Map | FoldKind::Filter => self.allocate(range.length()?)?,
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => Vec::new(),
        };
        for at in 0..range.length()? {
            if self.budget.is_exhausted() {
                return None;
            }
            let element = range.element(at)?;
            // Variables are numbered by depth: those of the macros around this one precede its own.
            self.variables.truncate(fold.variable);
            self.variables.push(element.clone());
            if let Some(condition) = &fold.condition {
                match self.step(condition)? {
                    Value::Bool(true) => {}
                    Value::Bool(false) => continue,
                    _ => return None,
                }
            }
            let value = self.step(&fold.body);
            match (fold.kind, value) {
                (FoldKind::All, Some(Value::Bool(false))) => return Some(Value::Bool(false)),
                (FoldKind::Exists, Some(Value::Bool(true))) => return Some(Value::Bool(true)),
                (FoldKind::All | FoldKind::Exists, Some(Value::Bool(_))) => {}
                (FoldKind::All | FoldKind::Exists, _) => failed = true,
                (FoldKind::ExistsOne, Some(Value::Bool(value))) => found += usize::from(value),
                (FoldKind::Map, Some(value)) => kept.push(value),
                (FoldKind::Filter, Some(Value::Bool(value))) => {
                    if value {
                        kept.push(element);
                    }
                }
                (FoldKind::ExistsOne | FoldKind::Map | FoldKind::Filter, _) => return None,
            }
        }
        self.variables.truncate(fold.variable);
        match fold.kind {
            _ if failed => None,
            FoldKind::All => Some(Value::Bool(true)),
            FoldKind::Exists => Some(Value::Bool(false)),
            FoldKind::ExistsOne => Some(Value::Bool(found == 1)),
            FoldKind::Map | FoldKind::Filter => Some(Value::of_values(kept)),
        }
    }
}
