//! A Rust file as tokens: enough of the language to tell code from comments and strings, and to find paths.

use std::iter::Peekable;
use std::str::CharIndices;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Identifier or keyword, without `r#`.
    Word,
    /// String literal of any form; the text is what stands between the quotes, escapes as written.
    Text,
    /// One character, or `::`.
    Mark,
    /// Comment, with its slashes.
    Comment,
}

/// A token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// Its first line, from 1.
    pub line: usize,
    /// Whether it stands under `#[cfg(test)]`, or in a file of tests.
    pub test: bool,
}

/// A path as the code names it: `["std", "time", "Instant"]`; the leaves of a `use` are a path each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// Its words; `crate` first where it was `super` or `self` in a file whose place is known.
    pub words: Vec<&'a str>,
    /// Its line, from 1.
    pub line: usize,
    /// As [`Token::test`].
    pub test: bool,
}

/// A Rust file of the tree.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// Relative to the tree's root, with `/`.
    pub path: &'a str,
    /// As read.
    pub text: &'a str,
    /// Without comments.
    pub code: Vec<Token<'a>>,
    /// Comments alone.
    pub comments: Vec<Token<'a>>,
}

impl<'a> Source<'a> {
    /// Reads a file's text.
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let (comments, mut code): (Vec<_>, Vec<_>) =
            tokens(text).into_iter().partition(|token| token.kind == Kind::Comment);
        mark_tests(&mut code, is_test_file(path));
        Self { path, text, code, comments }
    }

    /// Every path of two or more words, and every leaf of a `use`.
    pub(crate) fn paths(&self) -> Vec<Path<'a>> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(token) = self.code.get(at) {
            if token.kind == Kind::Word && token.text == "use" {
                at = self.use_tree(at + 1, &[], &mut found);
            } else if token.kind == Kind::Word {
                let mut words = vec![token.text];
                while self.is_mark(at + 1, "::") && self.code.get(at + 2).is_some_and(|next| next.kind == Kind::Word) {
                    at += 2;
                    words.push(self.code[at].text);
                }
                if words.len() > 1 {
                    found.push(self.resolved(words, token));
                }
                at += 1;
            } else {
                at += 1;
            }
        }
        found
    }

    /// One branch of a `use`, from `at`; returns where it ended: at its `,`, `}` or `;`.
    fn use_tree(&self, mut at: usize, prefix: &[&'a str], found: &mut Vec<Path<'a>>) -> usize {
        let mut words = prefix.to_vec();
        while let Some(token) = self.code.get(at) {
            match (token.kind, token.text) {
                (Kind::Word, "as") => at += 1,
                (Kind::Word, word) => words.push(word),
                (Kind::Mark, "::" | "*") => {}
                (Kind::Mark, "{") => loop {
                    at = self.use_tree(at + 1, &words, found);
                    if !self.is_mark(at, ",") {
                        return at + 1;
                    }
                },
                _ => {
                    if words.len() > prefix.len() {
                        found.push(self.resolved(words, token));
                    }
                    return at;
                }
            }
            at += 1;
        }
        at
    }

    fn is_mark(&self, at: usize, mark: &str) -> bool {
        self.code.get(at).is_some_and(|token| token.kind == Kind::Mark && token.text == mark)
    }

    /// Makes `super::x` and `self::x` start at the crate. Inline modules are not looked at: only tests have them here.
    fn resolved(&self, words: Vec<&'a str>, token: &Token<'a>) -> Path<'a> {
        let mut module = module(self.path);
        let mut rest = words.as_slice();
        let relative = matches!(rest.first(), Some(&"super" | &"self"));
        while let Some((&first, more)) = rest.split_first() {
            match first {
                "self" => {}
                "super" => drop(module.pop()),
                _ => break,
            }
            rest = more;
        }
        let words = if relative { [&["crate"], &module[..], rest].concat() } else { words };
        Path { words, line: token.line, test: token.test }
    }
}

/// Whether a whole file is tests or benches.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.ends_with("/tests.rs")
        || ["/tests/", "/benches/", "/examples/", "/fuzz/"].iter().any(|folder| path.contains(folder))
}

/// The module path of a file within its crate: `otlp`, `grpc` for `exporter/src/otlp/grpc.rs`.
pub(crate) fn module(path: &str) -> Vec<&str> {
    let inner = path.split_once("src/").map_or(path, |(_, inner)| inner);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    inner.split('/').filter(|word| !matches!(*word, "mod" | "lib" | "main")).collect()
}

/// Marks what stands under `#[cfg(test)]`: the attributes that follow, and the item up to its `;` or its last brace.
fn mark_tests(code: &mut [Token<'_>], whole: bool) {
    let opening = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at < code.len() {
        if whole {
            code[at].test = true;
            at += 1;
            continue;
        }
        let starts = code[at..].iter().zip(opening).filter(|(token, want)| token.text == *want).count() == 7;
        if !starts {
            at += 1;
            continue;
        }
        let (mut depth, mut braced) = (0_usize, false);
        while at < code.len() {
            code[at].test = true;
            let (kind, text) = (code[at].kind, code[at].text);
            at += 1;
            match (kind, text) {
                (Kind::Mark, "{" | "(" | "[") => {
                    depth += 1;
                    braced |= text == "{";
                }
                (Kind::Mark, "}" | ")" | "]") => depth = depth.saturating_sub(1),
                (Kind::Mark, ";") if depth == 0 => break,
                _ => {}
            }
            if braced && depth == 0 {
                break;
            }
        }
    }
}

/// All tokens of a text.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        let (kind, inner) = match first {
            '/' if text[start..].starts_with("//") => {
                skip_to(&mut rest, start + text[start..].find('\n').unwrap_or(text.len() - start));
                (Kind::Comment, None)
            }
            '/' if text[start..].starts_with("/*") => {
                skip_to(&mut rest, block_end(text, start));
                (Kind::Comment, None)
            }
            '"' => (Kind::Text, Some(quoted(text, start, &mut rest))),
            '\'' => {
                character_or_lifetime(text, start, &mut rest);
                continue;
            }
            ':' if text[start..].starts_with("::") => {
                skip_to(&mut rest, start + 2);
                (Kind::Mark, None)
            }
            _ if first.is_alphanumeric() || first == '_' => {
                let end = start
                    + text[start..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - start);
                let after = &text[end..];
                let raw = matches!(&text[start..end], "r" | "br" | "cr") && after.starts_with(['"', '#']);
                if raw && after.trim_start_matches('#').starts_with('"') {
                    (Kind::Text, Some(raw_quoted(text, end, &mut rest)))
                } else if matches!(&text[start..end], "b" | "c") && after.starts_with('"') {
                    rest.next();
                    (Kind::Text, Some(quoted(text, end, &mut rest)))
                } else if raw {
                    continue;
                } else {
                    skip_to(&mut rest, end);
                    (Kind::Word, None)
                }
            }
            _ if first.is_whitespace() => continue,
            _ => (Kind::Mark, None),
        };
        let end = rest.peek().map_or(text.len(), |&(at, _)| at);
        let line = 1 + text[..start].matches('\n').count();
        found.push(Token { kind, text: inner.unwrap_or(&text[start..end]), line, test: false });
    }
    found
}

fn skip_to(rest: &mut Peekable<CharIndices<'_>>, end: usize) {
    while rest.next_if(|&(at, _)| at < end).is_some() {}
}

/// Where a block comment ends; they nest.
fn block_end(text: &str, start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    loop {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else if let Some(c) = text[at..].chars().next() {
            at += c.len_utf8();
        } else {
            return at;
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The inside of a string that opens at `start`; leaves `rest` behind its end.
fn quoted<'a>(text: &'a str, start: usize, rest: &mut Peekable<CharIndices<'_>>) -> &'a str {
    let mut escaped = false;
    let inner = &text[start + 1..];
    let end = inner.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    let end = end.unwrap_or(inner.len());
    skip_to(rest, start + 2 + end);
    &inner[..end]
}

/// The inside of a raw string whose `#`s begin at `start`; leaves `rest` behind its end.
fn raw_quoted<'a>(text: &'a str, start: usize, rest: &mut Peekable<CharIndices<'_>>) -> &'a str {
    let hashes = text[start..].bytes().take_while(|&byte| byte == b'#').count();
    let inner = &text[start + hashes + 1..];
    let end = inner.find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(inner.len());
    skip_to(rest, start + hashes + 1 + end + 1 + hashes);
    &inner[..end]
}

/// Steps over a character literal; of a lifetime only over its quote.
fn character_or_lifetime(text: &str, start: usize, rest: &mut Peekable<CharIndices<'_>>) {
    let mut inner = text[start + 1..].chars();
    match (inner.next(), inner.next()) {
        (Some('\\'), Some(escape)) => {
            let begin = start + 2 + escape.len_utf8();
            skip_to(rest, begin + text[begin..].find('\'').map_or(0, |end| end + 1));
        }
        (Some(c), Some('\'')) => skip_to(rest, start + 2 + c.len_utf8()),
        _ => {}
    }
}

#[test]
fn the_lexer_tells_code_from_the_rest() {
    let text = r###"//! Top. "no string"
use std::{fs, io::{self, Read as R}, net::IpAddr};
/* a /* nested */ "comment" */
fn f<'a>(c: char) -> bool { c == '"' || c == '\'' || c == '\u{1F}' }
const A: &str = "a \" b // no comment"; const B: &[u8] = br#"raw "x" y"#;
#[cfg(test)]
#[allow(x, reason = "r")]
mod tests { use super::flow::Flow; fn g() { let t = tokio::time::now(); } }
fn h() { aya::load(self::x::y) }
"###;
    let source = Source::new("exporter/src/otlp/grpc.rs", text);
    assert_eq!(source.comments.len(), 2);
    let texts: Vec<_> = source.code.iter().filter(|token| token.kind == Kind::Text).map(|token| token.text).collect();
    assert_eq!(texts, ["a \\\" b // no comment", "raw \"x\" y", "r"]);
    let paths: Vec<_> = source.paths().iter().map(|path| (path.words.join("::"), path.line, path.test)).collect();
    let expected = [
        ("std::fs", 2, false),
        ("std::io::self", 2, false),
        ("std::io::Read", 2, false),
        ("std::net::IpAddr", 2, false),
        ("crate::otlp::flow::Flow", 8, true),
        ("tokio::time::now", 8, true),
        ("aya::load", 9, false),
        ("crate::otlp::grpc::x::y", 9, false),
    ];
    assert_eq!(paths, expected.map(|(path, line, test)| (path.to_owned(), line, test)));
}
