//! CEL's checker: resolves names and kinds of a parsed expression, and rejects invalid ones.

use prost_reflect::{FieldDescriptor, MessageDescriptor};

use crate::filter::expression::any_of;
use crate::filter::pattern_budget::PatternBudget;
use crate::proto;

use super::functions::Function;
use super::kind::Kind;
use super::literal::Literal;
use super::parser::{Expression, Node};

/// The variable of the flow.
const FLOW: &str = "_flow";
/// The package in which names are looked up first.
const CONTAINER: &str = "flow";

pub(super) fn flow_descriptor() -> Option<MessageDescriptor> {
    proto::descriptor("flow.Flow")
}

/// A checked expression, ready to be evaluated.
#[derive(Debug)]
pub(super) enum Step {
    Literal(Literal),
    Flow,
    /// A variable of a macro.
    Variable(usize),
    Field(Box<Step>, FieldDescriptor),
    HasField(Box<Step>, FieldDescriptor),
    /// A key of a map, or a field or key of a value of a kind that is known only at evaluation.
    Key(Box<Step>, String),
    HasKey(Box<Step>, String),
    And(Vec<Step>),
    Or(Vec<Step>),
    Conditional(Box<[Step; 3]>),
    Unary(Function, Box<Step>),
    Binary(Function, Box<[Step; 2]>),
    /// A list of literals only, which needs no allocation at evaluation.
    Literals(Vec<Literal>),
    List(Vec<Step>),
    Map(Vec<(Step, Step)>),
    Fold(Box<Fold>),
}

/// A macro over the elements of a list, or the keys of a map.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) kind: FoldKind,
    pub(super) range: Step,
    /// The variable of the element.
    pub(super) variable: usize,
    pub(super) condition: Option<Step>,
    pub(super) body: Step,
}

/// The kind of a macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// Checks the nodes of an expression.
struct Checker<'a> {
    /// Variables of the macros around the current node.
    variables: Vec<(String, Kind)>,
    patterns: &'a mut PatternBudget,
}

type Checked = Result<(Step, Kind), String>;

/// Checks an expression, which has to be a bool.
pub(super) fn check(expression: &Expression, patterns: &mut PatternBudget) -> Result<Step, String> {
    let (step, kind) = Checker { variables: Vec::new(), patterns }.expression(expression)?;
    if kind == Kind::Bool { Ok(step) } else { Err(format!("got \"{kind}\", wanted \"bool\" result type")) }
}

impl Checker<'_> {
    fn expression(&mut self, expression: &Expression) -> Checked {
        match &expression.node {
            Node::Literal(literal) => Ok((Step::Literal(literal.clone()), kind_of(literal))),
            Node::Name { name, absolute } => self
                .name(name, *absolute)
                .ok_or_else(|| format!("undeclared reference to '{name}' (in container '{CONTAINER}')")),
            Node::Select(operand, field) => self.select(expression, operand, field),
            Node::Call { target, name, arguments } => self.call(target.as_deref(), name, arguments),
            Node::And(operands) => Ok((Step::And(self.bools(operands, "_&&_")?), Kind::Bool)),
            Node::Or(operands) => Ok((Step::Or(self.bools(operands, "_||_")?), Kind::Bool)),
            Node::Conditional(parts) => self.conditional(parts),
            Node::List(elements) => {
                let (steps, kind) = self.alike(elements.iter())?;
                Ok((list(steps), Kind::List(Box::new(kind))))
            }
            Node::Map(entries) => {
                let (keys, key) = self.alike(entries.iter().map(|(key, _)| key))?;
                let (values, value) = self.alike(entries.iter().map(|(_, value)| value))?;
                if !matches!(key, Kind::Bool | Kind::Int | Kind::Uint | Kind::Text | Kind::Dyn) {
                    return Err(format!("unsupported key type: {key}"));
                }
                Ok((Step::Map(keys.into_iter().zip(values).collect()), Kind::Map(Box::new(key), Box::new(value))))
            }
        }
    }

    /// Checks elements and returns their common kind.
    fn alike<'e>(
        &mut self,
        elements: impl ExactSizeIterator<Item = &'e Expression>,
    ) -> Result<(Vec<Step>, Kind), String> {
        let mut common: Option<Kind> = None;
        let mut steps = Vec::with_capacity(elements.len());
        for element in elements {
            let (step, kind) = self.expression(element)?;
            steps.push(step);
            common = Some(common.map_or_else(|| kind.clone(), |common| common.unify(&kind).unwrap_or(Kind::Dyn)));
        }
        Ok((steps, common.unwrap_or(Kind::Dyn)))
    }

    fn bools(&mut self, operands: &[Expression], operator: &str) -> Result<Vec<Step>, String> {
        let mut steps = Vec::with_capacity(operands.len());
        for operand in operands {
            let (step, kind) = self.expression(operand)?;
            if !matches!(kind.inner(), Kind::Bool | Kind::Dyn) {
                return Err(no_overload(operator, &[kind]));
            }
            steps.push(step);
        }
        Ok(steps)
    }

    fn conditional(&mut self, [condition, then, otherwise]: &[Expression; 3]) -> Checked {
        let (condition, kind) = self.expression(condition)?;
        let (then, one) = self.expression(then)?;
        let (otherwise, two) = self.expression(otherwise)?;
        let result = one.unify(&two).filter(|_| matches!(kind.inner(), Kind::Bool | Kind::Dyn));
        let result = result.ok_or_else(|| no_overload("_?_:_", &[kind, one, two]))?;
        Ok((Step::Conditional(Box::new([condition, then, otherwise])), result))
    }

    /// Resolves a variable or the value of an enum.
    fn name(&self, name: &str, absolute: bool) -> Option<(Step, Kind)> {
        if !absolute {
            if let Some(at) = self.variables.iter().rposition(|(variable, _)| variable == name) {
                return Some((Step::Variable(at), self.variables[at].1.clone()));
            }
            if let Some(number) = enum_value(&format!("{CONTAINER}.{name}")) {
                return Some(number);
            }
        }
        if name == FLOW {
            return Some((Step::Flow, Kind::Message(flow_descriptor()?)));
        }
        enum_value(name)
    }

    fn select(&mut self, whole: &Expression, operand: &Expression, field: &str) -> Checked {
        if let Some((name, absolute, root)) = qualified(whole) {
            let is_hidden = !absolute && self.variables.iter().any(|(variable, _)| variable == root);
            if let Some(found) = (!is_hidden).then(|| self.name(&name, absolute)).flatten() {
                return Ok(found);
            }
        }
        let (step, kind) = self.expression(operand)?;
        let step = Box::new(step);
        Ok(match kind {
            Kind::Message(message) => {
                let field = known_field(&message, field)?;
                let kind = Kind::of_field(&field);
                (Step::Field(step, field), kind)
            }
            Kind::Map(_, value) => (Step::Key(step, field.to_owned()), *value),
            Kind::Dyn => (Step::Key(step, field.to_owned()), Kind::Dyn),
            kind => return Err(format!("type '{kind}' does not support field selection")),
        })
    }

    fn call(&mut self, target: Option<&Expression>, name: &str, arguments: &[Expression]) -> Checked {
        if let (None, "has", [argument]) = (target, name, arguments) {
            return self.has(argument);
        }
        if let Some(target) = target {
            let kind = match (name, arguments) {
                ("all", [_, _]) => Some(FoldKind::All),
                ("exists", [_, _]) => Some(FoldKind::Exists),
                ("exists_one" | "existsOne", [_, _]) => Some(FoldKind::ExistsOne),
                ("map", [_, _] | [_, _, _]) => Some(FoldKind::Map),
                ("filter", [_, _]) => Some(FoldKind::Filter),
                _ => None,
            };
            if let Some(kind) = kind {
                return self.fold(kind, target, arguments);
            }
        }
        if name == "matches" {
            return self.matches(target, arguments);
        }
        let function = Function::by_name(name, target.is_some())
            .ok_or_else(|| format!("undeclared reference to '{name}' (in container '{CONTAINER}')"))?;
        let (mut steps, mut kinds) = (Vec::new(), Vec::new());
        for argument in target.into_iter().chain(arguments) {
            let (step, kind) = self.expression(argument)?;
            steps.push(step);
            kinds.push(kind);
        }
        let result = function.result(&kinds).ok_or_else(|| no_overload(name, &kinds))?;
        Ok((call(function, steps).ok_or_else(|| no_overload(name, &kinds))?, result))
    }

    /// `has(a.b)`.
    fn has(&mut self, argument: &Expression) -> Checked {
        let Node::Select(operand, field) = &argument.node else {
            return Err("invalid argument to has() macro".to_owned());
        };
        let (step, kind) = self.expression(operand)?;
        let step = Box::new(step);
        Ok(match kind {
            Kind::Message(message) => (Step::HasField(step, known_field(&message, field)?), Kind::Bool),
            Kind::Map(..) | Kind::Dyn => (Step::HasKey(step, field.clone()), Kind::Bool),
            kind => return Err(format!("type '{kind}' does not support field selection")),
        })
    }

    fn fold(&mut self, kind: FoldKind, target: &Expression, arguments: &[Expression]) -> Checked {
        let (Some(Node::Name { name, absolute: false }), Some(body)) =
            (arguments.first().map(|argument| &argument.node), arguments.last())
        else {
            return Err("argument is not an identifier".to_owned());
        };
        let (range, range_kind) = self.expression(target)?;
        let element = match range_kind {
            Kind::List(kind) => *kind,
            Kind::Map(key, _) => *key,
            Kind::Dyn => Kind::Dyn,
            kind => return Err(format!("expression of type '{kind}' cannot be range of a comprehension")),
        };
        let variable = self.variables.len();
        self.variables.push((name.clone(), element.clone()));
        let condition = match arguments {
            [_, condition, _] => self.boolean(condition).map(Some),
            _ => Ok(None),
        };
        let body = if kind == FoldKind::Map {
            self.expression(body)
        } else {
            self.boolean(body).map(|step| (step, Kind::Bool))
        };
        self.variables.pop();
        let (condition, (body, body_kind)) = (condition?, body?);
        let result = match kind {
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => Kind::Bool,
            FoldKind::Map => Kind::List(Box::new(body_kind)),
            FoldKind::Filter => Kind::List(Box::new(element)),
        };
        Ok((Step::Fold(Box::new(Fold { kind, range, variable, condition, body })), result))
    }

    fn boolean(&mut self, expression: &Expression) -> Result<Step, String> {
        let (step, kind) = self.expression(expression)?;
        let is_boolean = matches!(kind.inner(), Kind::Bool | Kind::Dyn);
        if is_boolean { Ok(step) } else { Err(format!("expected type 'bool' but found '{kind}'")) }
    }

    /// `text.matches('…')` or `matches(text, '…')`.
    fn matches(&mut self, target: Option<&Expression>, arguments: &[Expression]) -> Checked {
        let (text, pattern) = match (target, arguments) {
            (Some(text), [pattern]) | (None, [text, pattern]) => (text, pattern),
            _ => return Err(no_overload("matches", &[])),
        };
        let (step, kind) = self.expression(text)?;
        let Node::Literal(Literal::Text(pattern)) = &pattern.node else {
            return Err("the pattern of matches() has to be a literal".to_owned());
        };
        let regex = any_of(std::slice::from_ref(pattern), self.patterns).map_err(|(_, error)| error)?;
        let function = Function::Matches(regex);
        let result = function.result(std::slice::from_ref(&kind));
        let result = result.ok_or_else(|| no_overload("matches", &[kind, Kind::Text]))?;
        Ok((Step::Unary(function, Box::new(step)), result))
    }
}

/// Returns a call; `None` if no function has so many arguments.
fn call(function: Function, arguments: Vec<Step>) -> Option<Step> {
    let arguments = match <[Step; 1]>::try_from(arguments) {
        Ok([argument]) => return Some(Step::Unary(function, Box::new(argument))),
        Err(arguments) => arguments,
    };
    Some(Step::Binary(function, Box::new(arguments.try_into().ok()?)))
}

/// Returns a list of elements, which are often literals.
fn list(elements: Vec<Step>) -> Step {
    if !elements.iter().all(|element| matches!(element, Step::Literal(_))) {
        return Step::List(elements);
    }
    let literal = |element| if let Step::Literal(literal) = element { Some(literal) } else { None };
    Step::Literals(elements.into_iter().filter_map(literal).collect())
}

fn kind_of(literal: &Literal) -> Kind {
    match literal {
        Literal::Null => Kind::Null,
        Literal::Bool(_) => Kind::Bool,
        Literal::Integer(_) | Literal::Int(_) => Kind::Int,
        Literal::Uint(_) => Kind::Uint,
        Literal::Double(_) => Kind::Double,
        Literal::Text(_) => Kind::Text,
        Literal::Bytes(_) => Kind::Bytes,
    }
}

/// Returns `a.b.c`, whether a dot precedes it, and `a`.
fn qualified(expression: &Expression) -> Option<(String, bool, &str)> {
    match &expression.node {
        Node::Name { name, absolute } => Some((name.clone(), *absolute, name)),
        Node::Select(operand, field) => {
            let (name, absolute, root) = qualified(operand)?;
            Some((format!("{name}.{field}"), absolute, root))
        }
        _ => None,
    }
}

fn known_field(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    message.get_field_by_name(name).ok_or_else(|| format!("undefined field '{name}'"))
}

/// Returns the number of `package.Enum.VALUE`.
fn enum_value(name: &str) -> Option<(Step, Kind)> {
    let (kind, value) = name.rsplit_once('.')?;
    let value = flow_descriptor()?.parent_pool().get_enum_by_name(kind)?.get_value_by_name(value)?;
    Some((Step::Literal(Literal::Int(value.number().into())), Kind::Int))
}

fn no_overload(name: &str, kinds: &[Kind]) -> String {
    let kinds: Vec<_> = kinds.iter().map(ToString::to_string).collect();
    format!("found no matching overload for '{name}' applied to '({})'", kinds.join(", "))
}
