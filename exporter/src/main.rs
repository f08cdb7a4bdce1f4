//! The command `eyepiece`: everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    eyepiece::cli::main(std::env::args_os()).into()
}
