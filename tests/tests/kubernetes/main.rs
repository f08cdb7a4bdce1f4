//! The Kubernetes provider against a real API server.

mod churn;
mod cluster;
mod names;
mod provided;
mod restart;
mod rights;
