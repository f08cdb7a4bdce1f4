//! The parser of CEL. It counts its depth: a stack overflow by an expression would let a client crash the server.

use super::lexer::{Token, tokens};
use super::literal::Literal;

/// Levels of an expression. Each is a call or two of every later step, on the stack of a worker.
const MAX_DEPTH: usize = 40;

/// An expression with its depth.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    pub(super) node: Node,
    depth: usize,
}

/// A node of the syntax tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Literal(Literal),
    /// `absolute` = a dot precedes it, so it is not looked up in the container.
    Name {
        name: String,
        absolute: bool,
    },
    Select(Box<Expression>, String),
    /// A function or an operator, by CEL's name of it: `_==_`.
    Call {
        target: Option<Box<Expression>>,
        name: String,
        arguments: Vec<Expression>,
    },
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Conditional(Box<[Expression; 3]>),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
}

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let expression = parser.expression()?;
    match parser.next() {
        Token::End => Ok(expression),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(token: &Token) -> String {
    match token {
        Token::End => "Syntax error: mismatched input '<EOF>'".to_owned(),
        Token::Identifier(name) => format!("Syntax error: mismatched input '{name}'"),
        Token::Literal(literal) => format!("Syntax error: mismatched input {literal:?}"),
        Token::Sign(sign) => format!("Syntax error: mismatched input '{sign}'"),
    }
}

/// Binary operators with their precedence, and their names as calls.
const BINARY: [(&str, u8, &str); 12] = [
    ("==", 1, "_==_"),
    ("!=", 1, "_!=_"),
    ("<=", 1, "_<=_"),
    (">=", 1, "_>=_"),
    ("<", 1, "_<_"),
    (">", 1, "_>_"),
    ("in", 1, "@in"),
    ("+", 2, "_+_"),
    ("-", 2, "_-_"),
    ("*", 3, "_*_"),
    ("/", 3, "_/_"),
    ("%", 3, "_%_"),
];

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Parser {
    fn next(&mut self) -> Token {
        self.tokens.next().unwrap_or(Token::End)
    }

    fn skip(&mut self, sign: &'static str) -> bool {
        self.tokens.next_if_eq(&Token::Sign(sign)).is_some()
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        match self.next() {
            Token::Sign(found) if found == sign => Ok(()),
            other => Err(format!("{} expecting '{sign}'", unexpected(&other))),
        }
    }

    /// Returns an expression one level above its parts.
    fn over(node: Node, parts: &[usize]) -> Result<Expression, String> {
        let depth = 1 + parts.iter().max().copied().unwrap_or(0);
        if depth > MAX_DEPTH { Err(too_deep()) } else { Ok(Expression { node, depth }) }
    }

    fn call(target: Option<Expression>, name: &str, arguments: Vec<Expression>) -> Result<Expression, String> {
        let depths: Vec<_> = target.iter().chain(&arguments).map(|part| part.depth).collect();
        Self::over(Node::Call { target: target.map(Box::new), name: name.to_owned(), arguments }, &depths)
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let condition = self.many("||", Node::Or, |parser| parser.many("&&", Node::And, |parser| parser.binary(1)))?;
        let expression = if self.skip("?") {
            let then = self.many("||", Node::Or, |parser| parser.many("&&", Node::And, |parser| parser.binary(1)))?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            let depths = [condition.depth, then.depth, otherwise.depth];
            Self::over(Node::Conditional(Box::new([condition, then, otherwise])), &depths)
        } else {
            Ok(condition)
        };
        self.depth -= 1;
        expression
    }

    /// Parses one or more operands, joined by a sign, as one list: long chains are usual.
    fn many(
        &mut self,
        sign: &'static str,
        node: fn(Vec<Expression>) -> Node,
        one: impl Fn(&mut Self) -> Result<Expression, String>,
    ) -> Result<Expression, String> {
        let first = one(self)?;
        let mut all = vec![first];
        while self.skip(sign) {
            all.push(one(self)?);
        }
        if all.len() > 1 {
            let depths: Vec<_> = all.iter().map(|part| part.depth).collect();
            return Self::over(node(all), &depths);
        }
        all.pop().ok_or_else(too_deep)
    }

    fn binary(&mut self, precedence: u8) -> Result<Expression, String> {
        if precedence > 3 {
            return self.unary();
        }
        let mut left = self.binary(precedence + 1)?;
        loop {
            let Some(Token::Sign(sign)) = self.tokens.peek() else { return Ok(left) };
            let operator = BINARY.into_iter().find(|(one, level, _)| one == sign && *level == precedence);
            let Some((_, _, name)) = operator else { return Ok(left) };
            self.next();
            let right = self.binary(precedence + 1)?;
            left = Self::call(None, name, vec![left, right])?;
        }
    }

    fn unary(&mut self) -> Result<Expression, String> {
        let sign = match self.tokens.peek() {
            Some(Token::Sign(sign @ ("!" | "-"))) => *sign,
            _ => return self.member(),
        };
        let mut times = 0;
        while self.skip(sign) {
            times += 1;
        }
        // Two cancel each other, as in Go's parser.
        let odd = times % 2 == 1;
        if let (true, "-", Some(Token::Literal(literal))) = (odd, sign, self.tokens.peek().cloned()) {
            let negated = match literal {
                Literal::Integer(value) => 0i64.checked_sub_unsigned(value).map(Literal::Int),
                Literal::Double(value) => Some(Literal::Double(-value)),
                _ => None,
            };
            if let Some(negated) = negated {
                self.next();
                let primary = Self::over(Node::Literal(negated), &[])?;
                return self.postfix(primary);
            }
        }
        let operand = self.member()?;
        match (odd, sign) {
            (false, _) => Ok(operand),
            (true, "!") => Self::call(None, "!_", vec![operand]),
            (true, _) => Self::call(None, "-_", vec![operand]),
        }
    }

    fn member(&mut self) -> Result<Expression, String> {
        let primary = self.primary()?;
        self.postfix(primary)
    }

    /// Parses selections, calls and indexes after an expression.
    fn postfix(&mut self, mut left: Expression) -> Result<Expression, String> {
        loop {
            if self.skip(".") {
                let Token::Identifier(name) = self.next() else {
                    return Err("Syntax error: expected identifier after '.'".to_owned());
                };
                if self.skip("(") {
                    let arguments = self.list(")")?;
                    left = Self::call(Some(left), &name, arguments)?;
                } else {
                    let depth = left.depth;
                    left = Self::over(Node::Select(Box::new(left), name), &[depth])?;
                }
            } else if self.skip("[") {
                let index = self.expression()?;
                self.expect("]")?;
                left = Self::call(None, "_[_]", vec![left, index])?;
            } else if self.tokens.peek() == Some(&Token::Sign("{")) {
                return Err("messages can't be made in a filter".to_owned());
            } else {
                return Ok(left);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, String> {
        let node = match self.next() {
            Token::Literal(Literal::Integer(value)) => {
                let value = i64::try_from(value).map_err(|_| format!("invalid int literal: {value}"))?;
                Node::Literal(Literal::Int(value))
            }
            Token::Literal(literal) => Node::Literal(literal),
            Token::Identifier(name) if self.skip("(") => {
                let arguments = self.list(")")?;
                return Self::call(None, &name, arguments);
            }
            Token::Identifier(name) => Node::Name { name, absolute: false },
            Token::Sign(".") => match self.next() {
                Token::Identifier(name) => Node::Name { name, absolute: true },
                other => return Err(unexpected(&other)),
            },
            Token::Sign("(") => {
                let inside = self.expression()?;
                self.expect(")")?;
                return Ok(inside);
            }
            Token::Sign("[") => {
                let elements = self.list("]")?;
                let depths: Vec<_> = elements.iter().map(|element| element.depth).collect();
                return Self::over(Node::List(elements), &depths);
            }
            Token::Sign("{") => return self.map(),
            other => return Err(unexpected(&other)),
        };
        Self::over(node, &[])
    }

    /// Parses expressions between commas up to a closing bracket. Except in calls, a comma may precede it.
    fn list(&mut self, end: &'static str) -> Result<Vec<Expression>, String> {
        let mut elements = Vec::new();
        if self.skip(end) {
            return Ok(elements);
        }
        loop {
            elements.push(self.expression()?);
            if !self.skip(",") {
                self.expect(end)?;
                return Ok(elements);
            }
            if end == "]" && self.skip(end) {
                return Ok(elements);
            }
        }
    }

    /// Parses a map after `{`.
    fn map(&mut self) -> Result<Expression, String> {
        let mut entries = Vec::new();
        while !self.skip("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.skip(",") {
                self.expect("}")?;
                break;
            }
        }
        let depths: Vec<_> = entries.iter().flat_map(|(key, value)| [key.depth, value.depth]).collect();
        Self::over(Node::Map(entries), &depths)
    }
}

fn too_deep() -> String {
    format!("expression recursion limit exceeded: {MAX_DEPTH}")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn deep_expressions_do_not_overflow() {
        // The smallest stack of a worker.
        let all = || {
            for (part, end) in [
                ("(", ""),
                ("!", "a"),
                ("-", "1"),
                ("[", ""),
                ("{", ""),
                ("1+", "1"),
                ("a.", "b"),
                ("a&&", "a"),
                ("a?b:", "c"),
                ("a?", ""),
                ("a[0]", ""),
                ("a.f(", ""),
                ("f(", ""),
                ("a<", "a"),
                ("[1].all(x,", "1"),
                ("{1:", ""),
                ("'", ""),
                ("a.map(x,", ""),
                ("(a?", ""),
                ("-(", ""),
                ("!a.", "b"),
                ("// ", ""),
                (".", ""),
                ("1 in ", "a"),
            ] {
                let text = part.repeat(4096 / part.len()) + end;
                let _ = parse(&text);
            }
        };
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(all).expect("a thread");
        assert!(thread.join().is_ok());
        assert!(parse(&("a||".repeat(1000) + "a")).is_ok());
        assert!(parse(&("[".to_owned() + &"1,".repeat(1000) + "]")).is_ok());
        assert!(parse(&("(".repeat(30) + "1" + &")".repeat(30))).is_ok());
        assert!(parse(&("(".repeat(50) + "1" + &")".repeat(50))).is_err());
        assert!(parse(&("1+".repeat(50) + "1")).is_err());
    }

    #[test]
    fn invalid_expression_is_rejected() {
        for wrong in [
            "",
            "1 +",
            "a b",
            "a.",
            "a.1",
            "(1",
            "[1",
            "f(1,)",
            "a?b",
            "{1}",
            "A{b: 1}",
            "a.'b'",
            "9223372036854775808",
            ")",
            "a in",
            "== 1",
            "a..b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for right in
            ["-9223372036854775808", "[1,]", "{}", "{1: 2,}", "!!a", "--1", ".a.b", "a ? b : c ? d : e", "-1.5.f()"]
        {
            assert!(parse(right).is_ok(), "{right}");
        }
    }
}
