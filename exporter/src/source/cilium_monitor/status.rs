//! The connection to the agent, for status pages.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::connection::Reason;
use crate::support::lock::lock;

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Time of its last change.
    pub since: Instant,
    /// The reason of a missing connection; `None` while connected.
    pub reason: Option<Reason>,
    /// Connections that have ended so far.
    pub interruptions: u64,
}

/// A shared view of the connection's state.
#[derive(Clone, Debug)]
pub struct View(Arc<Mutex<Connection>>);

impl View {
    pub(super) fn new() -> Self {
        let connection = Connection { since: Instant::now(), reason: Some(Reason::NotStarted), interruptions: 0 };
        Self(Arc::new(Mutex::new(connection)))
    }

    /// The current state.
    pub fn get(&self) -> Connection {
        lock(&self.0).clone()
    }

    /// Changes the state: once per attempt or end, never per event.
    pub(super) fn change(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut lock(&self.0));
    }
}
