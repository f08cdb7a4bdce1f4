//! Quoted texts, as Go's `%q` writes them.

use std::fmt::{self, Write};

/// Writes a text in double quotes and escapes characters that are not printable.
pub(super) fn write(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(character)?;
            }
            '\u{7}' => out.write_str("\\a")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{b}' => out.write_str("\\v")?,
            ' '..='~' => out.write_char(character)?,
            '\0'..='\u{7f}' => write!(out, "\\x{:02x}", u32::from(character))?,
            // Rust escapes the characters that are not printable by the same Unicode tables as Go.
            _ if character.escape_debug().count() == 1 && !character.is_whitespace() => out.write_char(character)?,
            _ if u32::from(character) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(character))?,
            _ => write!(out, "\\U{:08x}", u32::from(character))?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn quoted_text_equals_go() {
        for (text, expected) in [
            ("a.b,c", r#""a.b,c""#),
            ("a\"b\\", r#""a\"b\\""#),
            ("\n\t\r\u{7}\u{8}\u{b}\u{c}", r#""\n\t\r\a\b\v\f""#),
            ("\0\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            ("é世", "\"é世\""),
            ("\u{a0}\u{200b}\u{e000}", r#""\u00a0\u200b\ue000""#),
            ("\u{10ffff}", r#""\U0010ffff""#),
        ] {
            let mut out = String::new();
            write(text, &mut out).unwrap();
            assert_eq!(out, expected);
        }
    }
}
