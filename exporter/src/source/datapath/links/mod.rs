//! Interfaces of this network namespace: what they are, when they come and go, and which addresses are behind them.

pub mod book;
pub mod classify;
pub mod facts;
pub mod glob;
pub mod ids;
pub mod link;
pub mod namespaces;
pub mod netlink;
pub mod requests;
pub mod socket;
pub mod table;
