//! Evaluates a checked expression: as far as a budget goes, for what a client writes runs for every flow.

use std::rc::Rc;

use prost_reflect::DynamicMessage;

use super::check::{Fold, FoldKind, Step};
use super::value::Value;

/// What a flow may still cost, in steps of an expression and parts of what they go through.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// As many steps.
    pub(super) const fn new(steps: usize) -> Self {
        Self(steps)
    }

    /// Takes some away; none where that is too many, and then nothing is left.
    pub(super) fn spend(&mut self, steps: usize) -> Option<()> {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or(0);
        left.map(|_| ())
    }

    const fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// One evaluation.
pub(super) struct Evaluation<'a, 'b> {
    pub(super) flow: &'a DynamicMessage,
    pub(super) budget: &'b mut Budget,
    variables: Vec<Value<'a>>,
}

impl<'a, 'b> Evaluation<'a, 'b> {
    pub(super) const fn new(flow: &'a DynamicMessage, budget: &'b mut Budget) -> Self {
        Self { flow, budget, variables: Vec::new() }
    }

    /// What a step says; none where it fails.
    pub(super) fn step(&mut self, step: &'a Step) -> Option<Value<'a>> {
        self.budget.spend(1)?;
        match step {
            Step::Literal(literal) => Some(Value::of_literal(literal)),
            Step::Flow => Some(Value::Message(self.flow)),
            Step::Variable(at) => self.variables.get(*at).cloned(),
            Step::Field(operand, field) => {
                let value = self.step(operand)?.field(field)?;
                self.budget.spend(value.weight() / 16)?;
                Some(value)
            }
            Step::HasField(operand, field) => Some(Value::Bool(self.step(operand)?.has_field(field)?)),
            Step::Key(operand, key) => self.step(operand)?.key(key),
            Step::HasKey(operand, key) => Some(Value::Bool(self.step(operand)?.has_key(key)?)),
            // An operand that fails doesn't matter where another one decides.
            Step::And(operands) => self.junction(operands, false),
            Step::Or(operands) => self.junction(operands, true),
            Step::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.step(condition)? {
                    Value::Bool(true) => self.step(then),
                    Value::Bool(false) => self.step(otherwise),
                    _ => None,
                }
            }
            Step::Call(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.step(argument)?);
                }
                let weight: usize = values.iter().map(Value::weight).sum();
                self.budget.spend(weight / 16)?;
                function.call(values, self.budget)
            }
            Step::List(elements) => {
                let elements: Option<_> = elements.iter().map(|element| self.step(element)).collect();
                Some(Value::List(Rc::new(elements?)))
            }
            Step::Map(entries) => {
                let entries: Option<_> =
                    entries.iter().map(|(key, value)| Some((self.step(key)?, self.step(value)?))).collect();
                Some(Value::Map(Rc::new(entries?)))
            }
            Step::Fold(fold) => self.fold(fold),
        }
    }

    /// All or any of the operands: `decisive` ends it.
    fn junction(&mut self, operands: &'a [Step], decisive: bool) -> Option<Value<'a>> {
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

    fn fold(&mut self, fold: &'a Fold) -> Option<Value<'a>> {
        let elements: Rc<Vec<Value<'a>>> = match self.step(&fold.range)? {
            Value::List(elements) => elements,
            Value::Map(entries) => Rc::new(entries.iter().map(|(key, _)| key.clone()).collect()),
            _ => return None,
        };
        // Variables are numbered by depth: inside of a macro's body, those around it are there.
        self.variables.truncate(fold.variable);
        let (mut failed, mut found, mut kept) = (false, 0usize, Vec::new());
        for element in elements.iter() {
            if self.budget.is_spent() {
                return None;
            }
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
                        kept.push(element.clone());
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
            FoldKind::Map | FoldKind::Filter => Some(Value::List(Rc::new(kept))),
        }
    }
}
