//! Clients that take all they can get, and what others are served beside them.

mod bodies;
mod memory;
mod support;
mod work;
