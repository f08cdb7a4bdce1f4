//! Interned names: a number in every flow, a text only where a sink writes it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A name's number; equal names have equal numbers within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(u32);

impl Symbol {
    /// The empty text.
    pub const EMPTY: Self = Self(0);

    /// Its number, for keys that pack it.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The symbol of a number that [`Symbol::number`] gave.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// The table of names. Writers are providers of metadata, readers the sinks: neither is the hot path.
#[derive(Clone, Debug)]
pub struct Symbols(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Default for Symbols {
    fn default() -> Self {
        let symbols = Self(Arc::default());
        let empty = symbols.intern("");
        debug_assert_eq!(empty, Symbol::EMPTY);
        symbols
    }
}

impl Symbols {
    /// The symbol of a text, made where it is new.
    pub fn intern(&self, text: &str) -> Symbol {
        if let Some(&number) = self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(text) {
            return Symbol(number);
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = table.numbers.get(text) {
            return Symbol(number);
        }
        // 2^32 different names do not fit into memory.
        let number = u32::try_from(table.texts.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        table.texts.push(Arc::clone(&text));
        table.numbers.insert(text, number);
        Symbol(number)
    }

    /// The text of a symbol; empty for one of another table.
    pub fn text(&self, symbol: Symbol) -> Arc<str> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.texts.get(symbol.0 as usize).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Symbol, Symbols};

    #[test]
    fn equal_names_are_equal_symbols() {
        let symbols = Symbols::default();
        let (a, b) = (symbols.intern("veth0"), symbols.intern("world"));
        assert_ne!(a, b);
        assert_eq!(a, symbols.intern("veth0"));
        assert_eq!(&*symbols.text(a), "veth0");
        assert_eq!(symbols.intern(""), Symbol::EMPTY);
        assert_eq!(&*symbols.text(Symbol(99)), "");
    }
}
