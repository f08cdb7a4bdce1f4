//! Interfaces of this network namespace: their roles, their changes, and the addresses behind them.

pub mod address_book;
pub mod classify;
pub mod component;
pub mod filters;
pub mod glob;
pub mod ids;
pub mod inventory;
pub mod learner;
pub mod link;
pub mod link_info;
pub mod namespaces;
pub mod netlink;
pub mod notifier;
pub mod requests;
pub mod routes;
pub mod snapshot;
pub mod socket;
pub mod subscription;
pub mod survey;
pub mod table;
pub mod tunnel;
pub mod watch;

pub use classify::{Ignored, Role, classify};
pub use component::{Config, Links, LinksError, WatcherMetrics};
pub use glob::Filter;
pub use learner::Learner;
pub use link::{Link, LinkEvent, PeerRef};
pub use watch::build;
