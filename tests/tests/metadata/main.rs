//! Providers of names against the real programs and the kernel that they ask.

mod compose;
mod docker;
mod endpoints;
mod recorder;
mod sockets;
