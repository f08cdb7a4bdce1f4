//! The datapath against the kernel, each test in its own network namespace.

mod attach;
mod links;
