//! Rewrites Go's syntax of regular expressions to that of the crate `regex`. The two differ in the meaning of escapes and
//! classes, in repetitions, and in errors.

use std::iter::Peekable;
use std::str::Chars;

use hashbrown::HashSet;

use crate::filter::pattern_budget::PatternBudget;

/// The most repetitions of an item, the product of nested ones (`maxRepeat` of `regexp/syntax`).
const MAX_REPETITIONS: u32 = 1000;
/// Characters from which on a range is wide: if case is ignored, the crate `regex` looks at each of them.
const WIDE_RANGE: u32 = 256;
/// Levels of nested groups. Go allows 1000, the crate `regex` 250, its own ones included.
const MAX_DEPTH: usize = 100;

const MISSING_BRACKET: &str = "missing closing ]";

/// The item before a repetition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// None that can be repeated.
    Nothing,
    /// An item, with the repetitions inside of it.
    Item(u32),
    /// A repetition, which cannot be repeated again.
    Repetition(u32),
}

/// The state of rewriting one pattern.
struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    names: HashSet<String>,
    before: Before,
    /// The most repetitions so far in the groups around each open group.
    open: Vec<u32>,
    /// The most repetitions in the current group so far.
    most: u32,
    /// No `:]` follows: a `[:` begins no class.
    has_no_posix_end: bool,
    budget: &'a mut PatternBudget,
}

/// Rewrites a pattern, or returns its error. Wide classes are charged to the budget.
pub(super) fn translate(pattern: &str, budget: &mut PatternBudget) -> Result<String, String> {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len() + 16),
        names: HashSet::new(),
        before: Before::Nothing,
        open: Vec::new(),
        most: 1,
        has_no_posix_end: false,
        budget,
    };
    while let Some(c) = translator.rest.next() {
        translator.one(c)?;
    }
    if translator.open.is_empty() { Ok(translator.out) } else { Err(format!("missing closing ): `{pattern}`")) }
}

impl Translator<'_> {
    fn one(&mut self, c: char) -> Result<(), String> {
        match c {
            '(' => return self.group(),
            ')' => {
                let outer = self.open.pop().ok_or("unexpected )")?;
                let inner = std::mem::replace(&mut self.most, outer);
                self.out.push(')');
                self.item(inner);
            }
            '|' => {
                self.out.push('|');
                self.before = Before::Nothing;
            }
            '*' | '+' | '?' => self.repeat(&c.to_string(), 1)?,
            '{' => match self.bounds() {
                Some((least, most)) => {
                    let (text, times) = match most {
                        _ if least > MAX_REPETITIONS => return Err("invalid repeat count".to_owned()),
                        Some(most) if most > MAX_REPETITIONS || most < least => {
                            return Err("invalid repeat count".to_owned());
                        }
                        Some(most) => (format!("{{{least},{most}}}"), most),
                        None => (format!("{{{least},}}"), least),
                    };
                    self.repeat(&text, times)?;
                }
                None => self.literal('{'),
            },
            '[' => self.class()?,
            '\\' => self.escape()?,
            '^' | '$' | '.' => {
                self.out.push(c);
                self.item(1);
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn item(&mut self, demanded: u32) {
        self.before = Before::Item(demanded);
        self.most = self.most.max(demanded);
    }

    fn literal(&mut self, c: char) {
        push_literal(c, &mut self.out);
        self.item(1);
    }

    fn repeat(&mut self, operator: &str, times: u32) -> Result<(), String> {
        let inside = match self.before {
            Before::Nothing => return Err(format!("missing argument to repetition operator: `{operator}`")),
            Before::Repetition(_) => return Err(format!("invalid nested repetition operator: `{operator}`")),
            Before::Item(inside) => inside,
        };
        let demanded = inside.saturating_mul(times.max(1));
        if demanded > MAX_REPETITIONS {
            return Err(format!("invalid repeat count: `{operator}`"));
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.before = Before::Repetition(demanded);
        self.most = self.most.max(demanded);
        Ok(())
    }

    /// Reads `n}`, `n,}` or `n,m}`. Anything else is not a repetition, and nothing is consumed.
    fn bounds(&mut self) -> Option<(u32, Option<u32>)> {
        let mut ahead = self.rest.clone();
        let least = number(&mut ahead)?;
        let bounds = match ahead.next()? {
            '}' => (least, Some(least)),
            ',' if ahead.next_if_eq(&'}').is_some() => (least, None),
            ',' => {
                let most = number(&mut ahead)?;
                ahead.next_if_eq(&'}')?;
                (least, Some(most))
            }
            _ => return None,
        };
        self.rest = ahead;
        Some(bounds)
    }

    /// Reads the start of a group after `(`. Captures are not used, so no group captures.
    fn group(&mut self) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err("expression nests too deeply".to_owned());
        }
        let mut flags = String::new();
        let mut ends = false;
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.peek() {
                Some('P') => {
                    self.rest.next();
                    self.name()?;
                }
                Some('<') => self.name()?,
                _ => (flags, ends) = self.flags()?,
            }
        }
        if ends {
            // Flags for the rest of this group. They can't be repeated.
            if !flags.is_empty() {
                self.out.push_str(&format!("(?{flags})"));
            }
            self.before = Before::Nothing;
            return Ok(());
        }
        self.out.push_str(&format!("(?{flags}:"));
        self.open.push(std::mem::replace(&mut self.most, 1));
        self.before = Before::Nothing;
        Ok(())
    }

    /// Reads `<name>`.
    fn name(&mut self) -> Result<(), String> {
        let mut name = String::new();
        if self.rest.next() != Some('<') {
            return Err("invalid or unsupported Perl syntax: `(?P`".to_owned());
        }
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                _ => return Err(format!("invalid named capture: `(?P<{name}`")),
            }
        }
        if self.names.insert(name.clone()) { Ok(()) } else { Err(format!("duplicate capture group name: `{name}`")) }
    }

    /// Reads flags up to `)` or `:`; returns them with whether `)` ended them.
    fn flags(&mut self) -> Result<(String, bool), String> {
        let (mut flags, mut negated, mut any) = (String::new(), false, false);
        loop {
            match self.rest.next() {
                Some(c @ ('i' | 'm' | 's' | 'U')) => {
                    // The crate `regex` rejects a repeated flag; in Go the last one counts.
                    let on = flags.split('-').next().unwrap_or_default();
                    if !if negated { flags.len() > on.len() && flags[on.len()..].contains(c) } else { on.contains(c) } {
                        if negated && on.contains(c) {
                            flags = flags.replacen(c, "", 1);
                        }
                        flags.push(c);
                    }
                    any = true;
                }
                Some('-') if !negated => {
                    flags.push('-');
                    (negated, any) = (true, false);
                }
                Some(end @ (':' | ')')) if any || !negated => return Ok((flags, end == ')')),
                _ => return Err("invalid or unsupported Perl syntax: `(?`".to_owned()),
            }
        }
    }

    /// Reads an escape after `\`, outside of classes.
    fn escape(&mut self) -> Result<(), String> {
        let Some(&c) = self.rest.peek() else { return Err("trailing backslash at end of expression".to_owned()) };
        match c {
            'A' | 'z' => self.out.push_str(if c == 'A' { r"\A" } else { r"\z" }),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(NOT_AT_BOUNDARY),
            'Q' => {
                self.rest.next();
                self.quoted();
                return Ok(());
            }
            _ => {
                match self.escaped()? {
                    // A nested class would cost more: folding case looks at each of its characters.
                    Escaped::Set(text) if text.starts_with('[') => self.out.push_str(&text),
                    Escaped::Set(text) => self.out.push_str(&format!("[{text}]")),
                    Escaped::Char(c) => push_literal(c, &mut self.out),
                }
                self.item(1);
                return Ok(());
            }
        }
        self.rest.next();
        self.item(1);
        Ok(())
    }

    /// Reads literal text after `\Q`, up to `\E` or the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// Reads a class after `[`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or(MISSING_BRACKET)?;
            if c == ']' && !first {
                break;
            }
            first = false;
            if c == '['
                && self.rest.peek() == Some(&':')
                && let Some(name) = self.posix_class()?
            {
                self.out.push_str(&name);
                continue;
            }
            let low = match c {
                '\\' => self.escaped()?,
                c => Escaped::Char(c),
            };
            let low = match low {
                Escaped::Set(text) => {
                    if text.starts_with('[') {
                        self.budget.take_wide_class()?;
                    }
                    self.out.push_str(&text);
                    continue;
                }
                Escaped::Char(low) => low,
            };
            push_literal(low, &mut self.out);
            self.range_end(low)?;
        }
        self.out.push(']');
        self.item(1);
        Ok(())
    }

    /// Reads `-` and the end of a range after its start, if they follow.
    fn range_end(&mut self, low: char) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.peek().is_none_or(|&c| c == ']') {
            return Ok(());
        }
        self.rest = ahead;
        let high = match self.rest.next() {
            Some('\\') => self.escaped()?,
            Some(c) => Escaped::Char(c),
            None => return Err(MISSING_BRACKET.to_owned()),
        };
        let Escaped::Char(high) = high else { return Err(format!("invalid character class range: `{low}-`")) };
        if high < low {
            return Err(format!("invalid character class range: `{low}-`"));
        }
        if u32::from(high) - u32::from(low) >= WIDE_RANGE {
            self.budget.take_wide_class()?;
        }
        self.out.push('-');
        push_literal(high, &mut self.out);
        Ok(())
    }

    /// Reads `[:name:]` from its colon on. Returns `None` if no `:]` follows.
    fn posix_class(&mut self) -> Result<Option<String>, String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        if self.has_no_posix_end {
            return Ok(None);
        }
        let mut ahead = self.rest.clone();
        ahead.next();
        let mut name = String::new();
        loop {
            match ahead.next() {
                Some(':') if ahead.peek() == Some(&']') => break,
                Some(c) => name.push(c),
                None => {
                    self.has_no_posix_end = true;
                    return Ok(None);
                }
            }
        }
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(&name)) {
            return Err(format!("invalid character class range: `[:{name}:]`"));
        }
        ahead.next();
        self.rest = ahead;
        Ok(Some(format!("[:{name}:]")))
    }

    /// Reads an escape after `\`, in classes and outside of them; charges properties.
    fn escaped(&mut self) -> Result<Escaped, String> {
        if matches!(self.rest.peek(), Some('p' | 'P')) {
            self.budget.take_wide_class()?;
        }
        set(&mut self.rest)
    }
}

/// `\B` for words of ASCII.
const NOT_AT_BOUNDARY: &str = r"(?-u:\B)";

/// The meaning of an escape.
enum Escaped {
    Char(char),
    /// The content of a class.
    Set(String),
}

/// Reads an escape after `\`, in classes and outside of them.
fn set(rest: &mut Peekable<Chars<'_>>) -> Result<Escaped, String> {
    let c = rest.next().ok_or("trailing backslash at end of expression")?;
    let invalid = || format!(r"invalid escape sequence: `\{c}`");
    let as_set = |text: &str| Ok(Escaped::Set(text.to_owned()));
    Ok(Escaped::Char(match c {
        // ASCII only, unlike in the crate `regex`.
        'd' => return as_set("0-9"),
        'D' => return as_set("[^0-9]"),
        's' => return as_set(r"\t\n\x0c\r\x20"),
        'S' => return as_set(r"[^\t\n\x0c\r\x20]"),
        'w' => return as_set("0-9A-Za-z_"),
        'W' => return as_set("[^0-9A-Za-z_]"),
        'p' | 'P' => return property(c == 'P', rest).map(Escaped::Set),
        'a' => '\x07',
        'f' => '\x0c',
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'v' => '\x0b',
        'x' => hexadecimal(rest).ok_or_else(invalid)?,
        '0' => octal(0, rest),
        // A single digit would be a backreference.
        '1'..='7' if matches!(rest.peek(), Some('0'..='7')) => octal(c.to_digit(8).unwrap_or_default(), rest),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        _ => return Err(invalid()),
    }))
}

/// Reads up to two more octal digits.
fn octal(mut value: u32, rest: &mut Peekable<Chars<'_>>) -> char {
    for _ in 0..2 {
        let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else { break };
        rest.next();
        value = value * 8 + digit;
    }
    char::from_u32(value).unwrap_or_default()
}

/// Reads `41` or `{41}`.
fn hexadecimal(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    let mut value = 0;
    if rest.next_if_eq(&'{').is_some() {
        let mut digits = 0;
        while rest.next_if_eq(&'}').is_none() {
            value = value * 16 + rest.next()?.to_digit(16)?;
            digits += 1;
            if value > u32::from(char::MAX) {
                return None;
            }
        }
        return char::from_u32(value).filter(|_| digits > 0);
    }
    for _ in 0..2 {
        value = value * 16 + rest.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}

/// Reads `N`, `{Greek}` or `{^Greek}`; the crate `regex` checks the name.
fn property(mut negated: bool, rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let invalid = |name: &str| format!("invalid character class range: `\\p{{{name}}}`");
    let mut name = String::new();
    match rest.next() {
        Some('{') => loop {
            match rest.next() {
                Some('}') => break,
                Some('^') if name.is_empty() => negated = !negated,
                Some(c) if c.is_ascii_alphabetic() || c == '_' => name.push(c),
                _ => return Err(invalid(&name)),
            }
        },
        Some(c) if c.is_ascii_uppercase() => name.push(c),
        _ => return Err(invalid(&name)),
    }
    // Go's names are case-sensitive; the crate ignores case, and has long names of the general categories.
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err(invalid(&name));
    }
    let written = format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' });
    regex_syntax::parse(&written).map_err(|_| invalid(&name))?;
    Ok(written)
}

/// Reads a number without leading zeros, as in Go. Too large numbers saturate.
fn number(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut value: Option<u32> = None;
    let zero = rest.peek() == Some(&'0');
    let mut digits = 0;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        rest.next();
        digits += 1;
        value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit).min(MAX_REPETITIONS + 1));
    }
    value.filter(|_| !zero || digits == 1)
}

/// Appends a literal character, in classes and outside of them.
fn push_literal(c: char, out: &mut String) {
    // An escaped angle bracket would be the start or the end of a word.
    if c.is_ascii_punctuation() && !matches!(c, '_' | '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}
