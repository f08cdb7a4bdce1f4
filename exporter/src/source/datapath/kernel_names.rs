//! The kernel's names: of drop reasons from its BTF, of functions from /proc/kallsyms.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::btf::Btf;

/// Prefix of the enumerators of `enum skb_drop_reason`.
const PREFIX: &str = "SKB_DROP_REASON_";
/// The lowest bit of a reason's subsystem (include/net/dropreason.h, SKB_DROP_REASON_SUBSYS_SHIFT).
const SUBSYSTEM_SHIFT: u32 = 16;

/// Names of drop reasons and of kernel code; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct KernelNames(Arc<Tables>);

#[derive(Debug, Default)]
struct Tables {
    reasons: HashMap<u32, String>,
    subsystems: HashMap<u32, String>,
    addresses: Vec<u64>,
    /// The end of each address's name in `names`.
    ends: Vec<u32>,
    names: String,
}

/// Names of an enumeration by number, without a prefix; empty if the kernel lacks it.
fn names(types: &Btf, enumeration: &str, prefix: &str) -> HashMap<u32, String> {
    let strip = |name: String| name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name);
    let list = types.enumeration(enumeration).unwrap_or_default();
    list.into_iter().map(|(name, value)| (value, strip(name))).collect()
}

/// The names of the kernel's drop reasons, by number.
pub fn reasons(types: &Btf) -> HashMap<u32, String> {
    names(types, "skb_drop_reason", PREFIX)
}

/// A reason's name in upper case and without the kernel's prefix, as [`reasons`] has it.
pub fn normalize_reason(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(name)
}

impl KernelNames {
    /// Reads the running kernel's names. Unreadable ones stay numbers.
    pub fn read(types: &Btf) -> Self {
        let subsystems = names(types, "skb_drop_reason_subsys", "SKB_DROP_REASON_SUBSYS_");
        let mut tables = Tables { reasons: reasons(types), subsystems, ..Tables::default() };
        match std::fs::read_to_string("/proc/kallsyms") {
            Ok(text) => {
                tables.symbols(&text);
                if tables.addresses.is_empty() {
                    tracing::warn!(
                        "the kernel hides its symbols: without the capability SYSLOG, or with kernel.kptr_restrict = 2, \
                         drops have no names of functions"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "cannot read kernel symbols; drop locations remain addresses"),
        }
        Self(Arc::new(tables))
    }

    /// Names of a made-up kernel: its reasons, and its `/proc/kallsyms`.
    #[cfg(test)]
    pub(super) fn of(reasons: &[(u32, &str)], symbols: &str) -> Self {
        let mut tables = Tables::default();
        tables.reasons.extend(reasons.iter().map(|&(number, name)| (number, name.to_owned())));
        tables.symbols(symbols);
        Self(Arc::new(tables))
    }

    /// A reason's name (`NETFILTER_DROP`); for a subsystem's own reasons, the subsystem and a number.
    pub fn reason(&self, reason: u32) -> Cow<'_, str> {
        if let Some(name) = self.0.reasons.get(&reason) {
            return Cow::Borrowed(name);
        }
        let (subsystem, number) = (reason >> SUBSYSTEM_SHIFT, reason & 0xffff);
        match self.0.subsystems.get(&subsystem) {
            Some(name) if subsystem != 0 => Cow::Owned(format!("{name}_{number}")),
            _ => Cow::Owned(reason.to_string()),
        }
    }

    /// The number of a reason by its name, in any form that [`normalize_reason`] takes.
    pub fn number(&self, name: &str) -> Option<u32> {
        let name = normalize_reason(name);
        self.0.reasons.iter().find(|(_, known)| **known == name).map(|(number, _)| *number)
    }

    /// Returns whether the kernel has a function of this name, or only copies and pieces that the compiler made of it
    /// (`.isra.0`, `.constprop.0`, `.part.0`, `.cold`).
    pub fn has_function(&self, name: &str) -> bool {
        let Tables { ends, names, .. } = &*self.0;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).any(|(start, &end)| {
            let rest = names[start as usize..end as usize].strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Returns whether the addresses of functions are readable.
    pub fn has_functions(&self) -> bool {
        !self.0.addresses.is_empty()
    }

    /// The function that an address lies in; empty if unknown.
    pub fn symbol(&self, address: u64) -> &str {
        let Tables { addresses, ends, names, .. } = &*self.0;
        let index = addresses.partition_point(|&start| start <= address);
        let Some(index) = index.checked_sub(1) else { return "" };
        let start = index.checked_sub(1).map_or(0, |before| ends[before] as usize);
        &names[start..ends[index] as usize]
    }
}

/// The names that are no drop reasons of this kernel.
pub fn unknown_reasons<'a>(types: &Btf, names: &'a [String]) -> Vec<&'a str> {
    let known: HashSet<String> = reasons(types).into_values().collect();
    names.iter().map(String::as_str).filter(|name| !known.contains(&normalize_reason(name))).collect()
}

impl Tables {
    /// Stores the functions of `/proc/kallsyms` (`address type name`), sorted. Without privilege all addresses are 0.
    fn symbols(&mut self, text: &str) {
        let mut list: Vec<(u64, &str)> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                let is_text = matches!(words.next()?, "t" | "T");
                (is_text && address != 0).then_some((address, words.next()?))
            })
            .collect();
        list.sort_unstable();
        list.dedup_by_key(|(address, _)| *address);
        for (address, name) in list {
            self.names.push_str(name);
            self.addresses.push(address);
            self.ends.push(self.names.len() as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KernelNames, Tables};
    use std::sync::Arc;

    fn names() -> KernelNames {
        let mut tables = Tables::default();
        tables.reasons.insert(2, "NOT_SPECIFIED".into());
        tables.subsystems.insert(3, "OPENVSWITCH".into());
        tables.symbols("0000000000000100 T ip_rcv\n0000000000000180 t ip_forward\n0000000000000140 d data\n0 T zero\n");
        KernelNames(Arc::new(tables))
    }

    #[test]
    fn reasons_have_names_or_numbers() {
        let names = names();
        for (reason, expected) in [(2, "NOT_SPECIFIED"), (0x3_0007, "OPENVSWITCH_7"), (77, "77"), (0x9_0001, "589825")]
        {
            assert_eq!(names.reason(reason), expected);
        }
        for (name, expected) in
            [("NOT_SPECIFIED", Some(2)), ("skb_drop_reason_not_specified", Some(2)), ("NONSENSE", None)]
        {
            assert_eq!(names.number(name), expected, "{name}");
        }
    }

    #[test]
    fn functions_are_found_with_suffixes() {
        let names = KernelNames::of(
            &[],
            "100 T ip_rcv\n140 t ip_rcv_core.isra.0\n180 t ip_rcv.cold\n200 t igmp_rcv.constprop.0.isra.0\n\
             240 T ping_rcv\n280 t igmp_rcv.part.0.cold\n300 T ping\n340 t last\n",
        );
        for (name, expected) in [
            ("ip_rcv", true),
            ("ip_rcv_core", true),
            ("igmp_rcv", true),
            ("ping", true),
            ("last", true),
            ("rcv", false),
            ("pin", false),
            ("igmp_rcv.part", true),
        ] {
            assert_eq!(names.has_function(name), expected, "{name}");
        }
    }

    #[test]
    fn symbol_is_found_by_inner_address() {
        let names = names();
        for (address, expected) in
            [(0, ""), (0xff, ""), (0x100, "ip_rcv"), (0x17f, "ip_rcv"), (0x180, "ip_forward"), (0x9999, "ip_forward")]
        {
            assert_eq!(names.symbol(address), expected, "{address:x}");
        }
        let mut hidden = Tables::default();
        hidden.symbols("0000000000000000 T ip_rcv\n0000000000000000 t ip_forward\n");
        assert!(hidden.addresses.is_empty(), "without privilege");
    }
}
