//! Counts of calls of our gRPC services by method, which a page shows as Hubble's `grpc_server_*`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::clock::unix_now;
use super::lock::lock;

/// The codes of gRPC by their numbers, with the names that Go's library has for them.
pub const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
/// The number of `Unknown`.
const UNKNOWN: usize = 2;

/// The calls of all methods; clones share them. Others than the registered methods are not counted, as in Hubble: a
/// client cannot make series.
#[derive(Clone, Debug, Default)]
pub struct GrpcCalls(Arc<Mutex<BTreeMap<String, Arc<MethodCalls>>>>);

/// The calls of one method.
#[derive(Debug)]
pub struct MethodCalls {
    /// The service, with its package.
    pub service: String,
    /// The method's name.
    pub method: String,
    /// `unary`, `client_stream`, `server_stream` or `bidi_stream`.
    pub kind: &'static str,
    /// The time of the registration, ns since the Unix epoch.
    pub start: u64,
    started: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    handled: [AtomicU64; CODES.len()],
}

impl GrpcCalls {
    /// Adds a method: from then on it has zeros, as Hubble's methods have. Client and server may send streams.
    pub fn register(&self, service: &str, method: &str, streams: (bool, bool)) {
        let kind = match streams {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        };
        let (service, method) = (service.to_owned(), method.to_owned());
        lock(&self.0).entry(format!("/{service}/{method}")).or_insert_with(|| {
            Arc::new(MethodCalls {
                service,
                method,
                kind,
                start: unix_now(),
                started: AtomicU64::default(),
                received: AtomicU64::default(),
                sent: AtomicU64::default(),
                handled: std::array::from_fn(|_| AtomicU64::default()),
            })
        });
    }

    /// Returns the method of a path; `None` for others than the registered ones.
    pub fn find(&self, path: &str) -> Option<Arc<MethodCalls>> {
        lock(&self.0).get(path).map(Arc::clone)
    }

    /// All methods, by service and name.
    pub fn methods(&self) -> Vec<Arc<MethodCalls>> {
        lock(&self.0).values().map(Arc::clone).collect()
    }
}

impl MethodCalls {
    /// Counts a call that begins.
    pub fn add_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages of clients.
    pub fn add_received(&self, messages: u64) {
        self.received.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts messages to clients.
    pub fn add_sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts a call that has ended with a code.
    pub fn add_handled(&self, code: usize) {
        self.handled[if code < CODES.len() { code } else { UNKNOWN }].fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that began.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Messages of clients.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Messages to clients.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Calls that have ended, by the names of their codes.
    pub fn handled(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CODES.into_iter().zip(self.handled.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
