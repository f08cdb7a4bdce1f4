//! The document of /lookup: what the tables of names have for an address or a name, and from which provider.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer to one query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lookup {
    /// The address or name that was looked up.
    pub query: String,
    /// The owner of an address by this machine's interfaces: an endpoint, the host or the world; `None` for a name.
    pub owner: Option<String>,
    /// The entries, in the order in which flows use them.
    pub entries: Vec<LookupEntry>,
    /// Further entries, beyond the limit of an answer.
    pub left_out: usize,
}

/// One provider's entry at one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LookupEntry {
    /// `address 10.0.0.1`, `network namespace 4026532281` …
    pub key: String,
    /// The keys that it leads to first, if it does: `container 3f4a…`.
    pub through: Vec<String>,
    /// The provider, as in the settings.
    pub provider: String,
    /// Whether flows get this entity at this key; else a provider before it has another one.
    pub used: bool,
    /// `pod`, `container` …
    pub kind: String,
    /// The short name of metrics.
    pub name: String,
    /// Security identity; 0 = not known.
    pub identity: u32,
    /// Namespace.
    pub namespace: String,
    /// Pod, container or unit.
    pub pod: String,
    /// Workloads, `Deployment web`.
    pub workloads: Vec<String>,
    /// Service, `namespace/name`.
    pub service: String,
    /// Labels, sorted.
    pub labels: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, owner, entries, left_out } = self;
        if let Some(owner) = owner {
            writeln!(f, "{query} is {owner}.")?;
        }
        if entries.is_empty() {
            writeln!(f, "No provider has an entry for {query}.")?;
        }
        entries.iter().try_for_each(|entry| write!(f, "\n{entry}"))?;
        match left_out {
            0 => Ok(()),
            left_out => writeln!(f, "\n{left_out} further entries are left out."),
        }
    }
}

impl fmt::Display for LookupEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, through, provider, used, kind, name, .. } = self;
        write!(f, "{key}")?;
        through.iter().try_for_each(|next| write!(f, " → {next}"))?;
        let unused = if *used { "" } else { " (not used: an earlier provider has an entry)" };
        writeln!(f, ": {kind} {name}, by {provider}{unused}")?;
        let identity = if self.identity == 0 { String::new() } else { self.identity.to_string() };
        for (title, value) in [
            ("namespace", &self.namespace),
            ("pod", &self.pod),
            ("workloads", &self.workloads.join(", ")),
            ("service", &self.service),
            ("DNS names", &self.dns_names.join(", ")),
            ("identity", &identity),
            ("labels", &self.labels.join(", ")),
        ] {
            if !value.is_empty() {
                writeln!(f, "  {title:<10} {value}")?;
            }
        }
        Ok(())
    }
}
