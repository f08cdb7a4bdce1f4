//! The Kubernetes provider against a real API server, and the product on a whole node.

mod churn;
mod cluster;
mod names;
mod node;
mod provided;
mod restart;
mod rights;
mod whole_node;
