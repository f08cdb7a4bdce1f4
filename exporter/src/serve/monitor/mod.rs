//! Cilium's monitor socket: raw payloads for its clients, and the subscriptions that start and stop the source.
//!
//! [`tap`] stands between the source and the pipeline: [`fanout`] publishes what passes to the queues of listeners, and
//! our own notifications ([`notification`]) join the stream there; [`endpoints`] makes those of endpoints and addresses.
//! [`server`] accepts clients, [`connection`] writes to one. [`agent`] starts the source for the first subscriber.

pub mod agent;
pub mod chunk;
pub mod connection;
pub mod endpoints;
pub mod fanout;
pub mod limits;
pub mod notification;
pub mod notifier;
pub mod queue;
pub mod server;
pub mod tap;
