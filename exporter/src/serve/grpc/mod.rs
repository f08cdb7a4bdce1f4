//! The gRPC transport: addresses, TLS, limits, health, reflection. What is served is handed in as tonic routes.
//!
//! `Config::bind` has the addresses before anything else is touched, `Bound::serve` lets clients in. Services know
//! nothing of connections; what they answer is ended here when the time of a shutdown is over.

mod body;
mod connection;
mod counters;
mod deadline;
pub mod health;
mod limits;
mod listen;
mod reason;
mod reload;
mod request;
mod server;
mod service;
mod sniff;
pub mod tls;

pub use limits::{Limits, MESSAGE};
pub use listen::{Address, Bind, BindError};
pub use request::Taken;
pub use server::{Bound, Config, ServerError};
pub use service::{Client, Lane, VERSION_HEADER};
