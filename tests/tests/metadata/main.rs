//! Providers of names against the real programs that they ask.

mod docker;
mod endpoints;
mod recorder;
