//! The command in operation: its life, its reports, its leaks and its troubles.

mod demo;
mod leaks;
mod running;
mod status;
mod trouble;
