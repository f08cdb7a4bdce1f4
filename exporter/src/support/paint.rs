//! Colours of terminal text, for Hubble's command line and for our own lines.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

/// Select graphic rendition (ECMA-48): foreground colours and weights.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the colours'")]
pub enum Color {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Magenta = 35,
    Cyan = 36,
}

impl Paint {
    /// Colours if standard output is a terminal and `NO_COLOR` is not set.
    pub fn stdout() -> Self {
        let is_disabled = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(io::stdout().is_terminal() && !is_disabled)
    }

    /// Returns a text in a colour.
    pub fn text(self, color: Color, text: impl Display) -> String {
        if self.0 { format!("\u{1b}[{}m{text}\u{1b}[0m", color as u8) } else { text.to_string() }
    }
}
