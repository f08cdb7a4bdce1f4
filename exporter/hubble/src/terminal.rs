//! Texts from peers made fit for a terminal: what would move the cursor, change colours, forge a line or turn the
//! direction of writing is shown, not obeyed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text in which every control character is visible: ESC as `^[`, as Hubble's command line shows it, the rest as in
/// program text.
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

/// Control characters of ASCII and of Latin 1 (U+009B is an escape sequence's start too), line and paragraph separators,
/// and what embeds, overrides or isolates a direction (Unicode TR 9).
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

/// Texts, safe, with something between them.
pub fn joined(texts: &[String], between: &str) -> String {
    let texts: Vec<_> = texts.iter().map(|text| safe(text)).collect();
    texts.join(between)
}
