//! The command `eyepiece` as users run it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

mod commands;
mod observe;
mod record;
