//! The colours of Hubble's command line.

use std::fmt::Display;

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(pub(super) bool);

/// SGR codes of foreground colours (ECMA-48).
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Color {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Magenta = 35,
    Cyan = 36,
}

impl Paint {
    pub(super) fn text(self, color: Color, text: impl Display) -> String {
        if self.0 { format!("\u{1b}[{}m{text}\u{1b}[0m", color as u8) } else { text.to_string() }
    }
}
