//! Who wants events, and so whether they are read at all; raw payloads for those who listen on the monitor socket.
//!
//! [`crate::serve::monitor::tap`] stands between a source and the pipeline: whatever passes is published by [`fanout`] to the queues of
//! listeners, and what we have to tell ourselves ([`notification`]) joins the stream there. [`server`] accepts
//! listeners, [`connection`] writes to one. [`agent`] starts the source for the first of all who want events.

pub mod agent;
pub mod budget;
pub mod chunk;
pub mod connection;
pub mod fanout;
pub mod notification;
pub mod notifier;
pub mod queue;
pub mod server;
pub mod tap;
