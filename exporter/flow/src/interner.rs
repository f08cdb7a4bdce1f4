//! Interned names: flows carry a number, sinks look up the text.
//!
//! A name is either permanent or leased: it is freed with its last lease. A follower's lease keeps the text too;
//! [`Lease::is_gone`] shows when only followers hold it. A freed number is reused only after all others, so that a late
//! reader does not take it for another name. The hot path never looks up a number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

/// The number of a name; equal names have equal numbers within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(u32);

impl Symbol {
    /// The empty text.
    pub const EMPTY: Self = Self(0);

    /// The number, for packed keys.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The symbol of a number from [`Symbol::number`].
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// The table of names. Snapshots, batches and series lease names of it; the hot path does not.
#[derive(Clone, Debug)]
pub struct Symbols(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    names: HashMap<u32, Name>,
    numbers: HashMap<Arc<str>, u32>,
    /// The number from which on a free one is searched.
    next: u32,
}

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    leases: usize,
    /// The leases of followers among them.
    followers: usize,
    /// Kept without leases.
    is_permanent: bool,
}

impl Table {
    /// Returns the number and the name of a text, which is added if it is new.
    fn name(&mut self, text: &str) -> (u32, &mut Name) {
        let number = self.numbers.get(text).copied();
        let number = number.unwrap_or_else(|| {
            // 2^32 names do not fit into memory, so there is a free number.
            while self.names.contains_key(&self.next) {
                self.next = self.next.wrapping_add(1);
            }
            let free = self.next;
            self.next = free.wrapping_add(1);
            free
        });
        let name = self.names.entry(number).or_insert_with(|| {
            let text: Arc<str> = text.into();
            self.numbers.insert(Arc::clone(&text), number);
            Name { text, leases: 0, followers: 0, is_permanent: false }
        });
        (number, name)
    }

    fn release(&mut self, number: u32, is_follower: bool) {
        let Entry::Occupied(mut entry) = self.names.entry(number) else { return };
        let name = entry.get_mut();
        name.leases = name.leases.saturating_sub(1);
        name.followers = name.followers.saturating_sub(is_follower.into());
        if name.leases == 0 && !name.is_permanent {
            self.numbers.remove(&entry.remove().text);
        }
    }
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
    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the permanent symbol of a text: for bounded sets of names.
    pub fn intern(&self, text: &str) -> Symbol {
        let mut table = self.write();
        let (number, name) = table.name(text);
        name.is_permanent = true;
        Symbol(number)
    }

    /// Returns a symbol of a text that lives as long as this lease, or another one of the same text.
    pub fn lease(&self, text: &str) -> Lease {
        let mut table = self.write();
        let (number, name) = table.name(text);
        name.leases += 1;
        Lease { symbol: Symbol(number), text: Arc::clone(&name.text), symbols: self.clone(), is_follower: false }
    }

    /// Returns a lease of a symbol's name; `None` if it was freed or belongs to another table.
    pub fn hold(&self, symbol: Symbol) -> Option<Lease> {
        self.lease_of(symbol, false)
    }

    /// As [`Symbols::hold`], for what refers to the name of a thing without having it: see [`Lease::is_gone`].
    pub fn follow(&self, symbol: Symbol) -> Option<Lease> {
        self.lease_of(symbol, true)
    }

    fn lease_of(&self, symbol: Symbol, is_follower: bool) -> Option<Lease> {
        let mut table = self.write();
        let name = table.names.get_mut(&symbol.0)?;
        name.leases += 1;
        name.followers += usize::from(is_follower);
        Some(Lease { symbol, text: Arc::clone(&name.text), symbols: self.clone(), is_follower })
    }

    /// Returns the text of a symbol; empty if it was freed or belongs to another table.
    pub fn text(&self, symbol: Symbol) -> Arc<str> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(&symbol.0).map(|name| Arc::clone(&name.text)).unwrap_or_default()
    }

    /// Number of names, the empty one included.
    pub fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).names.len()
    }
}

/// A handle that keeps a name alive.
#[derive(Debug)]
pub struct Lease {
    symbol: Symbol,
    text: Arc<str>,
    symbols: Symbols,
    is_follower: bool,
}

impl Lease {
    /// Its symbol.
    pub const fn symbol(&self) -> Symbol {
        self.symbol
    }

    /// Its text.
    pub const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Returns whether only followers hold the name.
    pub fn is_gone(&self) -> bool {
        let table = self.symbols.0.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(&self.symbol.0).is_some_and(|name| name.leases == name.followers && !name.is_permanent)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.symbols.write().release(self.symbol.0, self.is_follower);
    }
}

#[cfg(test)]
mod tests {
    use super::{Symbol, Symbols};

    #[test]
    fn equal_names_have_equal_symbols() {
        let symbols = Symbols::default();
        let (a, b) = (symbols.intern("veth0"), symbols.intern("world"));
        assert_ne!(a, b);
        assert_eq!(a, symbols.intern("veth0"));
        assert_eq!(&*symbols.text(a), "veth0");
        assert_eq!(symbols.intern(""), Symbol::EMPTY);
        assert_eq!(&*symbols.text(Symbol(99)), "");
    }

    #[test]
    fn name_is_freed_with_last_lease() {
        let symbols = Symbols::default();
        let (first, second) = (symbols.lease("veth0"), symbols.lease("veth0"));
        let symbol = first.symbol();
        assert_eq!((second.symbol(), &**second.text()), (symbol, "veth0"));
        drop(first);
        drop(symbols.hold(symbol));
        assert_eq!(&*symbols.text(symbol), "veth0");
        drop(second);
        assert_eq!((&*symbols.text(symbol), symbols.count()), ("", 1));
        assert!(symbols.hold(symbol).is_none());
        // Neither the next name nor the same text reuses the number.
        let (other, same) = (symbols.lease("veth1"), symbols.lease("veth0"));
        assert!(other.symbol() != symbol && same.symbol() != symbol);
    }

    #[test]
    fn name_of_followers_alone_is_gone() {
        let symbols = Symbols::default();
        let owner = symbols.lease("web");
        let [first, second] = [(); 2].map(|()| symbols.follow(owner.symbol()).expect("a name"));
        assert!(!first.is_gone());
        let again = symbols.lease("web");
        drop(owner);
        assert!(!first.is_gone(), "another thing has the name");
        drop(again);
        assert!(first.is_gone() && second.is_gone());
        drop(first);
        assert!(second.is_gone());
        let back = symbols.lease("web");
        assert_eq!((back.symbol(), second.is_gone()), (second.symbol(), false));
        drop((back, second));
        assert_eq!(symbols.count(), 1);
        let permanent = symbols.follow(symbols.intern("host")).expect("a name");
        assert!(!permanent.is_gone());
    }

    #[test]
    fn interned_name_is_permanent() {
        let symbols = Symbols::default();
        let lease = symbols.lease("host");
        assert_eq!(symbols.intern("host"), lease.symbol());
        let symbol = lease.symbol();
        drop(lease);
        drop(symbols.lease("host"));
        assert_eq!(&*symbols.text(symbol), "host");
    }

    #[test]
    fn reused_numbers_skip_used_ones() {
        let symbols = Symbols::default();
        let kept = symbols.lease("kept");
        symbols.write().next = u32::MAX;
        let names: Vec<_> = ["a", "b", "c"].iter().map(|text| symbols.lease(text)).collect();
        let numbers: Vec<_> = names.iter().map(|lease| lease.symbol().number()).collect();
        assert_eq!((kept.symbol().number(), numbers), (1, vec![u32::MAX, 2, 3]), "0 is the empty text's, 1 in use");
    }
}
