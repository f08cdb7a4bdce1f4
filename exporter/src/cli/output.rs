//! What goes to standard output and standard error: texts, help, completions, man pages.

use std::io::{self, Write as _};

use clap::Command;
use clap_complete::Shell;

use super::CliError;

/// A text to standard output; whether a broken pipe matters is the caller's affair.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A line to standard error.
pub(super) fn complain(line: &str) {
    // Where standard error is closed there is nobody left to tell; the exit code still does.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// The long help.
pub(super) fn help(mut command: Command) -> io::Result<()> {
    command.print_long_help()
}

/// Completions for a shell.
pub(super) fn completions(mut command: Command, shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "eyepiece", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    out.flush()
}

/// The man page of a sub-command, or of the whole.
pub(super) fn man(mut command: Command, names: &[String]) -> Result<(), CliError> {
    command.build();
    let mut page = &command;
    for name in names {
        let found = page.find_subcommand(name);
        page = found.ok_or_else(|| CliError::NoSuchCommand { name: names.join(" ") })?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page.clone()).render(&mut text)?;
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(())
}
