//! Kubernetes' label selectors, with the sources of Cilium's labels before the keys: `k8s:app in (a, b), !reserved:host`.

use eyepiece_flow::labels::Labels;

use super::label;
use super::label::UNSPECIFIED;

/// Source of keys that match labels of every source.
const ANY_SOURCE: &str = "any";
/// Bytes of a label's value, and of the name in its key (Kubernetes).
const NAME_LENGTH: usize = 63;
/// Bytes of the domain before the slash of a key (Kubernetes).
const DOMAIN_LENGTH: usize = 253;

/// A selector, which matches if all of its requirements do. Without requirements it matches everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Debug, PartialEq, Eq)]
struct Requirement {
    /// `None` = any.
    source: Option<String>,
    key: String,
    test: Test,
}

/// The condition of a requirement.
#[derive(Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    /// Missing, or with another value.
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    pub(super) fn matches(&self, labels: Labels<'_>) -> bool {
        self.0.iter().all(|requirement| {
            let value = label::value(labels, requirement.source.as_deref(), &requirement.key);
            let is_one_of = |values: &[String]| value.is_some_and(|value| values.iter().any(|one| one == value));
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::In(values) => is_one_of(values),
                Test::NotIn(values) => !is_one_of(values),
                Test::Above(bound) => number().is_some_and(|value| value > *bound),
                Test::Below(bound) => number().is_some_and(|value| value < *bound),
            }
        })
    }

    /// Parses a selector.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens::new(text);
        let mut requirements = Vec::new();
        if tokens.peek() == Token::End {
            return Ok(Self::default());
        }
        loop {
            requirements
                .push(requirement(&mut tokens).map_err(|error| format!("unable to parse requirement: {error}"))?);
            match tokens.next() {
                Token::End => return Ok(Self(requirements)),
                Token::Comma => {}
                other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
            }
        }
    }
}

/// Parses one requirement, up to a comma or the end.
fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let negated = tokens.skip(Token::Not);
    let key = tokens.word().map_err(|other| format!("found '{other}', expected: identifier"))?;
    let (source, key) = key_of(key)?;
    let test = match tokens.peek() {
        _ if negated => Test::Missing,
        Token::End | Token::Comma => Test::Exists,
        _ => test(tokens)?,
    };
    Ok(Requirement { source, key, test })
}

/// Parses operator and values.
fn test(tokens: &mut Tokens<'_>) -> Result<Test, String> {
    Ok(match tokens.next() {
        Token::Equal => Test::In(vec![tokens.value()?]),
        Token::Unequal => Test::NotIn(vec![tokens.value()?]),
        Token::Greater => Test::Above(integer(&tokens.value()?)?),
        Token::Less => Test::Below(integer(&tokens.value()?)?),
        Token::Word("in") => Test::In(tokens.values()?),
        Token::Word("notin") => Test::NotIn(tokens.values()?),
        other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
    })
}

fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("for 'Gt', 'Lt' operators, the value must be an integer: {text:?}"))
}

/// Parses `source:key` or `key`. Cilium checks both together, joined by a dot.
fn key_of(text: &str) -> Result<(Option<String>, String), String> {
    let (source, key) = text.split_once(':').unwrap_or((ANY_SOURCE, text));
    let source = if source.is_empty() { ANY_SOURCE } else { source };
    let whole = format!("{source}.{key}");
    let (domain, name) = match whole.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, whole.as_str()),
    };
    if name.is_empty() || !is_name(name) {
        return Err(format!(
            "Invalid value: {whole:?}: name part must consist of at most {NAME_LENGTH} alphanumeric characters, '-', '_' \
             or '.', and must start and end with an alphanumeric character"
        ));
    }
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return Err(format!("Invalid value: {whole:?}: prefix part must be a lowercase RFC 1123 subdomain"));
    }
    // The text before the first dot is the source then.
    let (source, key) = whole.split_once('.').unwrap_or((ANY_SOURCE, key));
    // `unspec` is the source of labels without one, but in a selector it means the same as `any`.
    let is_any = source == ANY_SOURCE || source == UNSPECIFIED;
    Ok(((!is_any).then(|| source.to_owned()), key.to_owned()))
}

/// Returns whether a text is a Kubernetes name, alphanumeric at both ends; it may be empty.
fn is_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= NAME_LENGTH && bytes.iter().copied().all(inside) && end(bytes.first()) && end(bytes.last())
}

/// Returns whether a text is a domain of RFC 1123 in lower case.
fn is_domain(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= DOMAIN_LENGTH && text.split('.').all(is_label)
}

/// A token of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Comma,
    Open,
    Close,
    Not,
    Equal,
    Unequal,
    Greater,
    Less,
    /// Anything else, up to white space or one of the above; also `in` and `notin`.
    Word(&'a str),
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::End => "",
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::Word(text) => text,
        })
    }
}

/// The tokens that are left of a text.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Returns the next token and the text after it. A NUL ends the text, as in Kubernetes.
    fn split(&self) -> (Token<'a>, &'a str) {
        const SPECIAL: [char; 6] = ['=', '!', '(', ')', ',', '>'];
        const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
        let text = self.rest.trim_start_matches(SPACE);
        for (sign, token) in [
            ("==", Token::Equal),
            ("=", Token::Equal),
            ("!=", Token::Unequal),
            ("!", Token::Not),
            (">", Token::Greater),
            ("<", Token::Less),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ] {
            if let Some(rest) = text.strip_prefix(sign) {
                return (token, rest);
            }
        }
        let ends = |c| c == '\0' || c == '<' || SPECIAL.contains(&c) || SPACE.contains(&c);
        match text.split_at(text.find(ends).unwrap_or(text.len())) {
            ("", _) => (Token::End, ""),
            (word, rest) => (Token::Word(word), rest),
        }
    }

    fn peek(&self) -> Token<'a> {
        self.split().0
    }

    fn next(&mut self) -> Token<'a> {
        let (token, rest) = self.split();
        self.rest = rest;
        token
    }

    fn skip(&mut self, token: Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.next();
        }
        found
    }

    fn word(&mut self) -> Result<&'a str, Token<'a>> {
        match self.next() {
            Token::Word(text) => Ok(text),
            other => Err(other),
        }
    }

    /// Reads the value after an operator; it may be empty.
    fn value(&mut self) -> Result<String, String> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        checked(self.word().map_err(|other| format!("found '{other}', expected: identifier"))?)
    }

    /// Reads values in parentheses. Between two commas, and in `()`, there is an empty one.
    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Open => {}
            other => return Err(format!("found '{other}' expected: '('")),
        }
        if self.skip(Token::Close) {
            return Ok(vec![String::new()]);
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(text) => {
                    values.push(checked(text)?);
                    match self.peek() {
                        Token::Comma => {}
                        Token::Close => break,
                        other => return Err(format!("found '{other}', expected: ',' or ')'")),
                    }
                }
                Token::Comma => {
                    let is_next = self.peek();
                    if values.is_empty() || matches!(is_next, Token::Close | Token::Comma) {
                        values.push(String::new());
                    }
                    match is_next {
                        Token::Close => break,
                        Token::Comma => _ = self.next(),
                        _ => {}
                    }
                }
                other => return Err(format!("found '{other}', expected: ',', ')' or identifier")),
            }
        }
        self.next();
        Ok(values)
    }
}

fn checked(value: &str) -> Result<String, String> {
    let cause = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
               start and end with an alphanumeric character";
    if is_name(value) { Ok(value.to_owned()) } else { Err(format!("Invalid value: {value:?}: {cause}")) }
}

#[cfg(test)]
mod tests;
