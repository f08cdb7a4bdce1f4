//! How the connection to the agent is, for those who look.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::connection::Reason;

/// The connection now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Since when it is as it is.
    pub since: Instant,
    /// Why there is none; none while there is one.
    pub reason: Option<Reason>,
    /// Connections that have ended so far.
    pub interruptions: u64,
}

/// A view of the connection; cloning shares it.
#[derive(Clone, Debug)]
pub struct View(Arc<Mutex<Connection>>);

impl View {
    pub(super) fn new() -> Self {
        let connection = Connection { since: Instant::now(), reason: Some(Reason::NotStarted), interruptions: 0 };
        Self(Arc::new(Mutex::new(connection)))
    }

    /// The connection now.
    pub fn get(&self) -> Connection {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it: once per attempt or end, never per event.
    pub(super) fn change(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
