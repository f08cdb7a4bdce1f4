//! HTTP/1.1 servers: each with an address, a thread and a runtime of its own, and bounds on what clients occupy.
//!
//! `Config::bind` claims the address, `Bound::serve` answers by a [`Handler`]. A connection carries one request, whose
//! body is not read, and ends within [`CONNECTION_TIMEOUT`].
//!
//! Clients cannot keep others out for longer than that. The server accepts at once, so no client waits behind others in
//! the kernel's queue. Connections are bounded in total and from one address ([`Limits`]). At a bound, a new client
//! takes the place of the oldest connection whose request is not complete: half-open connections delay
//! none that sends its request at once. Over TLS the handshake comes before that: as many new connections as there are
//! places, within its round trips, displace it. If there is no such connection, the new client is refused at once, and the places of
//! clients that do not read are free again after [`CONNECTION_TIMEOUT`].

mod connection;
mod places;
mod refusal;
mod response;
mod server;

pub use connection::{CONNECTION_TIMEOUT, HEAD_TIMEOUT, Handler};
pub use places::Limits;
pub use refusal::Refusals;
pub use response::{Answer, method_not_allowed, response, text};
pub use server::{Bound, Config, Server, ServerError};
