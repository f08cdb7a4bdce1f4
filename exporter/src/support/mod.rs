//! Helpers that several rooms share.

pub mod backoff;
pub mod bounded_read;
pub mod byte_budget;
pub mod capabilities;
pub mod clock;
pub mod decode_errors;
pub mod error_chain;
pub mod export_health;
pub mod file_lock;
pub mod file_watch;
pub mod incidents;
pub mod log_limit;
pub mod lookup;
pub mod network_namespace;
pub mod paint;
pub mod pem;
pub mod server_runtime;
pub mod shutdown;
pub mod socket_owner;
pub mod status;
pub mod telemetry;
pub mod thread_time;
pub mod unix_listener;
