//! The kernel programs between hosts in network namespaces: what is attached, counted and reported.

mod attach;
mod attribution;
mod exactness;
mod expiry;
mod kernel_drops;
mod lab;
mod loss;
mod once_per_node;
mod once_per_node_overlay;
mod reading;
mod refusals;
mod tcp_flags;
