//! The datapath against the kernel, each test in a network namespace of its own.

mod attach;
mod links;
