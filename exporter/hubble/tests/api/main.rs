//! Hubble's API as data, against what Cilium itself has and does.

mod conversion;
mod entities;
mod filters;
mod proto;
