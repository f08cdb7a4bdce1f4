//! `eyepiece observe` and `eyepiece status --hubble` as users run them, against servers in this process and Cilium's own.

mod connection;
mod input;
mod output;
mod peers;
mod server;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use eyepiece_hubble::json;
use prost::Name;

/// The command with an environment of nothing.
fn eyepiece(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyepiece"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// `observe` of a server, with further flags.
fn observe(server: &str, flags: &[&str]) -> Output {
    eyepiece(&[&["observe", "--server", server], flags].concat()).output().unwrap()
}

/// `observe` of a text on standard input.
fn observe_text(text: &str, flags: &[&str]) -> Output {
    let mut command = eyepiece(&[&["observe"], flags].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // `head` closes the pipe before the text's end.
    drop(child.stdin.take().unwrap().write_all(text.as_bytes()));
    child.wait_with_output().unwrap()
}

fn texts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A message of its JSON.
fn of<M: Name + Default>(text: &str) -> M {
    json::read(text, true).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
