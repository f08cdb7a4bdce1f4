//! The gRPC transport: addresses, TLS, limits, health, reflection. The caller passes the services as tonic routes.
//!
//! `Config::bind` claims the addresses before anything else starts, `Bound::serve` accepts clients. Services know
//! nothing of connections; the transport ends their responses at the deadline of a shutdown.

mod calls;
mod connection;
mod deadline;
mod extensions;
pub mod health;
mod idle;
mod limits;
mod listen;
mod metrics;
mod preface;
mod refusal;
mod request_body;
mod response_body;
mod server;
mod service;

pub use deadline::shutting_down;
pub use extensions::{Client, ConnectionQueue};
pub use limits::{Limits, MAX_MESSAGE_BYTES};
pub use listen::{Address, Bind, BindError};
pub use request_body::ReservedBytes;
pub use server::{Bound, Config, ServerError};
