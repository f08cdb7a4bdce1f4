//! Containers, as the API of Docker describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The most containers that have a name: more than a machine runs. With its labels, one takes 20 KiB at most.
pub(super) const MAX_CONTAINERS: usize = 10_000;

/// The network namespace that a container is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Network {
    /// A namespace of its own.
    #[default]
    Own,
    /// The namespace of another container.
    Shared,
    /// The namespace of the machine.
    Host,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Container {
    /// Full id.
    pub(super) id: Arc<str>,
    /// Name, without leading slash.
    pub(super) name: String,
    /// Name of the program that runs it.
    pub(super) runtime: &'static str,
    /// Image as it was asked for.
    pub(super) image: String,
    /// Labels that are shown.
    pub(super) labels: BTreeMap<String, String>,
    /// Labels beyond the limits.
    pub(super) labels_left_out: u64,
    /// It has not started yet, or it has ended.
    pub(super) is_stopped: bool,
    /// Its network namespace.
    pub(super) network: Network,
    /// That namespace's inode, if it is known and not this program's own.
    pub(super) namespace: Option<u32>,
    /// Its addresses in all networks; none of a stopped one, which others may have.
    pub(super) addresses: BTreeSet<IpAddr>,
}

/// The running containers, without their namespaces.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// At most [`MAX_CONTAINERS`].
    pub(super) containers: Vec<Container>,
    /// How many more there are.
    pub(super) left_out: usize,
    /// Entries without a valid id.
    pub(super) invalid: u64,
}
