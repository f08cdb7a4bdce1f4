//! Our decoder, gob, filters and metrics against Cilium's own code.

mod decode;
mod filters;
mod gob;
mod metrics;
