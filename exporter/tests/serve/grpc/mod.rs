//! The gRPC transport and the Peer service on real sockets.

mod calls;
mod descriptors;
mod life;
mod limits;
mod peers;
pub(crate) mod pki;
mod support;
mod tls;
