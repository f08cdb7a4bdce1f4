//! The limits of time and memory that an API server may cost.

use std::time::Duration;

use crate::support::backoff::BackoffRange;

/// Limits of time, bytes and objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Until the head of an answer.
    pub(super) response: Duration,
    /// From there to the end of one page of a list.
    pub(super) list: Duration,
    /// All pages of a list.
    pub(super) listing: Duration,
    /// Between two lines of a watch. The server sends a bookmark each minute.
    pub(super) silence: Duration,
    /// Least time from one watch to the next.
    pub(super) watch_pause: Duration,
    /// Bytes of one page of a list.
    pub(super) list_bytes: usize,
    /// Bytes of one event. etcd holds objects of up to 1.5 MiB.
    pub(super) line_bytes: usize,
    /// Objects of one page: as many slices with 1,000 endpoints are some 15 MiB.
    pub(super) page: u32,
    /// Objects of one kind that are kept: 150,000 is the most pods that Kubernetes supports in a cluster.
    pub(super) objects: usize,
    /// Pauses after failures.
    pub(super) backoff: BackoffRange,
    /// Pause after a missing right: an operator has to grant it.
    pub(super) forbidden: Duration,
    /// How long the first entries wait for all lists, so that they are complete.
    pub(super) settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response: Duration::from_secs(30),
            list: Duration::from_secs(60),
            listing: Duration::from_secs(600),
            silence: Duration::from_secs(100),
            watch_pause: Duration::from_secs(1),
            list_bytes: 16 << 20,
            line_bytes: 4 << 20,
            page: 50,
            objects: 150_000,
            backoff: BackoffRange { initial: Duration::from_millis(500), max: Duration::from_secs(10) },
            forbidden: Duration::from_secs(60),
            settle: Duration::from_secs(10),
        }
    }
}
