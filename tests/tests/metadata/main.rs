//! Providers of names against the real programs and the kernel that they ask.

mod docker;
mod recorder;
mod sockets;
