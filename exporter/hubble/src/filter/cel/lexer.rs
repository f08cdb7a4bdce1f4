//! The tokens of a CEL expression.

use super::literal::Literal;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    End,
    Identifier(String),
    Literal(Literal),
    /// An operator or a bracket; `in` too.
    Sign(&'static str),
}

/// Reserved words.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Signs; a longer one precedes its prefixes.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

/// Splits an expression into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let Some(first) = rest.chars().next() else { break };
        let (token, behind) = if let Some((literal, behind)) = text_literal(rest)? {
            (Token::Literal(literal), behind)
        } else if first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let (literal, behind) = number(rest)?;
            (Token::Literal(literal), behind)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (word, behind) = split(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            (self::word(word)?, behind)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("Syntax error: token recognition error at: '{first}'"))?;
            (Token::Sign(sign), &rest[sign.len()..])
        };
        tokens.push(token);
        rest = behind;
    }
    tokens.push(Token::End);
    Ok(tokens)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn word(word: &str) -> Result<Token, String> {
    Ok(match word {
        "true" => Token::Literal(Literal::Bool(true)),
        "false" => Token::Literal(Literal::Bool(false)),
        "null" => Token::Literal(Literal::Null),
        "in" => Token::Sign("in"),
        word if RESERVED.contains(&word) => return Err(format!("reserved identifier: {word}")),
        word => Token::Identifier(word.to_owned()),
    })
}

/// Reads `1`, `1u`, `0x1f`, `1.5`, `.5` or `1e3`. A sign is an operator, which the parser joins with the number.
fn number(text: &str) -> Result<(Literal, &str), String> {
    let invalid = |digits: &str| format!("invalid number literal: {digits}");
    let hexadecimal = text.strip_prefix("0x").filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, radix, rest) = match hexadecimal {
        Some(digits) => {
            let (digits, rest) = split(digits, |c| c.is_ascii_hexdigit());
            (digits, 16, rest)
        }
        None => {
            let (digits, rest) = split(text, |c| c.is_ascii_digit());
            (digits, 10, rest)
        }
    };
    if radix == 10 {
        let mut length = digits.len();
        if let Some((fraction, _)) = rest.strip_prefix('.').map(|rest| split(rest, |c| c.is_ascii_digit())) {
            // `1.f` has no fraction.
            length += if fraction.is_empty() { 0 } else { 1 + fraction.len() };
        }
        if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let (count, _) = split(unsigned, |c| c.is_ascii_digit());
            length += if count.is_empty() { 0 } else { 1 + exponent.len() - unsigned.len() + count.len() };
        }
        if length > digits.len() {
            let (digits, rest) = text.split_at(length);
            return Ok((Literal::Double(digits.parse().map_err(|_| invalid(digits))?), rest));
        }
    }
    let value = u64::from_str_radix(digits, radix).map_err(|_| invalid(digits))?;
    Ok(match rest.strip_prefix(['u', 'U']) {
        Some(rest) => (Literal::Uint(value), rest),
        None => (Literal::Integer(value), rest),
    })
}

/// Reads a text or bytes, if one starts here: `'a'`, `"a"`, or with three quotes, after `r`, `b` or both.
fn text_literal(text: &str) -> Result<Option<(Literal, &str)>, String> {
    let (mut raw, mut bytes) = (false, false);
    let mut rest = text;
    for _ in 0..2 {
        match rest.chars().next() {
            Some('r' | 'R') if !raw => raw = true,
            Some('b' | 'B') if !bytes => bytes = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let quotes = ["'''", "\"\"\"", "'", "\""];
    let Some(quote) = quotes.into_iter().find(|quote| rest.starts_with(quote)) else { return Ok(None) };
    let unclosed = || "Syntax error: a text without its closing quote".to_owned();
    let mut out = Vec::new();
    rest = &rest[quote.len()..];
    loop {
        if let Some(behind) = rest.strip_prefix(quote) {
            rest = behind;
            break;
        }
        let c = rest.chars().next().ok_or_else(unclosed)?;
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' | '\r' if quote.len() == 1 => return Err(unclosed()),
            '\\' if !raw => rest = escape(rest, bytes, &mut out)?,
            // In a raw text, a quote after a backslash does not end it.
            '\\' => {
                out.push(b'\\');
                let next = rest.chars().next().ok_or_else(unclosed)?;
                push(next, &mut out);
                rest = &rest[next.len_utf8()..];
            }
            c => push(c, &mut out),
        }
    }
    if bytes {
        return Ok(Some((Literal::Bytes(out), rest)));
    }
    let text = String::from_utf8(out).map_err(|_| "a text that is not UTF-8".to_owned())?;
    Ok(Some((Literal::Text(text), rest)))
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads an escape after its backslash; returns the text after it.
fn escape<'a>(text: &'a str, bytes: bool, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let invalid = || "invalid escape sequence".to_owned();
    let kind = text.chars().next().ok_or_else(invalid)?;
    let rest = &text[kind.len_utf8()..];
    let plain = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '?' => b'?',
        '"' => b'"',
        '\'' => b'\'',
        '`' => b'`',
        _ => {
            let (digits, radix, length, rest) = match kind {
                'x' | 'X' => (rest, 16, 2, rest),
                'u' if !bytes => (rest, 16, 4, rest),
                'U' if !bytes => (rest, 16, 8, rest),
                '0'..='3' => (text, 8, 3, text),
                _ => return Err(invalid()),
            };
            let digits = digits.get(..length).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let value = u32::from_str_radix(digits.ok_or_else(invalid)?, radix).map_err(|_| invalid())?;
            if bytes {
                out.push(u8::try_from(value).map_err(|_| invalid())?);
            } else {
                push(char::from_u32(value).ok_or_else(invalid)?, out);
            }
            return Ok(&rest[length..]);
        }
    };
    out.push(plain);
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::{Literal, Token, tokens};

    #[test]
    fn literals_are_read() {
        let text = |text: &str| Literal::Text(text.to_owned());
        for (source, literal) in [
            ("1", Literal::Integer(1)),
            ("9223372036854775808", Literal::Integer(1 << 63)),
            ("0x1F", Literal::Integer(31)),
            ("7u", Literal::Uint(7)),
            ("0xfU", Literal::Uint(15)),
            ("1.5", Literal::Double(1.5)),
            (".5", Literal::Double(0.5)),
            ("1e3", Literal::Double(1000.0)),
            ("1.5E-1", Literal::Double(0.15)),
            ("true", Literal::Bool(true)),
            ("null", Literal::Null),
            ("'a\"b'", text("a\"b")),
            ("\"a'b\"", text("a'b")),
            ("'''a'\n'''", text("a'\n")),
            (r"'\n\x41\u00e9\U0001F600\101\''", text("\nA\u{e9}\u{1f600}A'")),
            (r"r'\n\''", text(r"\n\'")),
            (r"b'\xff\377é'", Literal::Bytes(vec![0xff, 0xff, 0xc3, 0xa9])),
            (r"bR'\x'", Literal::Bytes(b"\\x".to_vec())),
        ] {
            assert_eq!(tokens(source), Ok(vec![Token::Literal(literal), Token::End]), "{source}");
        }
    }

    #[test]
    fn tokens_are_read_or_rejected() {
        let identifier = |name: &str| Token::Identifier(name.to_owned());
        let found = tokens(" a.b1 // comment\n in r<=1.f").expect("tokens");
        assert_eq!(
            found,
            [
                identifier("a"),
                Token::Sign("."),
                identifier("b1"),
                Token::Sign("in"),
                identifier("r"),
                Token::Sign("<="),
                Token::Literal(Literal::Integer(1)),
                Token::Sign("."),
                identifier("f"),
                Token::End
            ]
        );
        for wrong in [
            "'",
            "'a\nb'",
            "'''a''",
            "\"\\",
            r"'\q'",
            r"'\400'",
            r"'\ud800'",
            r"b'\u0041'",
            "99999999999999999999",
            "#",
            "é",
            "if",
            "&",
            r"r'\",
        ] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }
}
