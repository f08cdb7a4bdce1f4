//! Interfaces of this network namespace: what they are, when they come and go, and which addresses are behind them.

pub mod classify;
pub mod facts;
pub mod glob;
pub mod ids;
pub mod netlink;
