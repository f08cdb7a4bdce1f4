//! Writes to standard output and standard error: texts, help, completions, man pages.

use std::io::{self, Write as _};

use clap::Command;
use clap_complete::Shell;

use super::error::CliError;

/// Writes a text to standard output. The caller decides whether a broken pipe matters.
pub(super) fn write(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()
}

/// Writes a line to standard error.
pub(super) fn print_error(line: &str) {
    // If standard error is closed, only the exit code is left.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Prints the long help.
pub(super) fn help(mut command: Command) -> io::Result<()> {
    command.print_long_help()
}

/// Prints completions for a shell.
pub(super) fn completions(mut command: Command, shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "eyepiece", &mut script);
    write(&script)
}

/// Prints the man page of a sub-command, or of the program.
pub(super) fn man(mut command: Command, names: &[String]) -> Result<(), CliError> {
    command.build();
    let mut page = &command;
    for name in names {
        let found = page.find_subcommand(name);
        page = found.ok_or_else(|| CliError::NoSuchCommand { name: names.join(" ") })?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page.clone()).render(&mut text)?;
    Ok(write(text)?)
}
