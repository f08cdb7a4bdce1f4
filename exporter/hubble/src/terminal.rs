//! Escapes texts from peers for a terminal: characters that move the cursor, change colours, forge a line or change the
//! direction of writing become visible.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes control characters visible: ESC as `^[`, as Hubble's command line does, others as in source code.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\u{1b}' => out.push_str("^["),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x100 && is_harmful(c) => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Returns whether a character is a control of ASCII or Latin 1 (U+009B starts an escape sequence too), a line or
/// paragraph separator, or a control of direction (Unicode TR 9).
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

/// Joins escaped texts.
pub fn joined(texts: &[String], between: &str) -> String {
    let texts: Vec<_> = texts.iter().map(|text| safe(text)).collect();
    texts.join(between)
}
