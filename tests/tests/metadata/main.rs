//! Providers of names against the real programs that they ask.

mod compose;
mod docker;
mod recorder;
