//! The command line: parses it, reads the settings, runs the command, and returns its exit code.

mod args;
mod error;
mod log;
pub mod observe;
mod output;
mod sources;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use eyepiece_config::{Loaded, Settings};

use crate::app::record::RecordConfig;
use crate::app::{Outcome, preflight};
use crate::demo::DemoConfig;
use crate::exit_code::Exit;
use crate::recording::Summary;
use args::{Args, Command, ConfigCommand, Global, LookupFlags, StatusFlags};
use error::CliError;
use observe::{CliContext, Output};

/// Runs the command that the arguments name; the first one is the program's own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let parsed = command().try_get_matches_from(arguments).and_then(|matches| Args::from_arg_matches(&matches));
    let result = match parsed {
        Ok(args) => dispatch(args),
        Err(error) => return usage(&error),
    };
    match result {
        Ok(()) => Exit::Clean,
        // The reader of the pipe has left (`eyepiece config reference | head`).
        Err(CliError::Output { source }) if source.kind() == std::io::ErrorKind::BrokenPipe => Exit::Clean,
        Err(error) => {
            output::print_error(&format!("eyepiece: {error}"));
            error.exit()
        }
    }
}

fn command() -> clap::Command {
    Args::command()
}

/// Prints help, version or a mistake. Clap's exit code of a mistake is 2, ours is EX_USAGE.
fn usage(error: &clap::Error) -> Exit {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match error.print() {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ if is_help => Exit::Clean,
        _ => Exit::Usage,
    }
}

fn dispatch(args: Args) -> Result<(), CliError> {
    let Args { global, command: requested } = args;
    match requested {
        None => Ok(output::help(command())?),
        Some(Command::Completions { shell }) => Ok(output::completions(command(), shell)?),
        Some(Command::Man { names }) => output::man(command(), &names),
        Some(Command::Config { global: inner, command }) => config(global.then(inner), command),
        Some(Command::Status(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            status(&global, &flags)
        }
        Some(Command::Lookup(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            lookup(&global, &flags)
        }
        Some(Command::Observe(flags)) => Ok(with_context(&global, |context| observe::observe(*flags, context))?),
        Some(Command::Run(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            let loaded = check(sources::load(&global, &flags.flags())?)?;
            Ok(crate::app::run(init_log(loaded)?)?)
        }
        Some(Command::Record(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            record(sources::load(&global, &[])?, &flags.config())
        }
        Some(Command::Demo(flags)) => {
            let global = global.then(flags.global);
            // Mistakes in the settings are reported, with their keys, before anything is created.
            log::init(&sources::load(&global, &[])?.settings.log)?;
            let Global { config, set: sets } = global;
            Ok(crate::demo::run(DemoConfig { seconds: flags.seconds, config, sets })?)
        }
    }
}

/// Checks settings against this machine, and adds warnings of files that cannot be used now.
fn check(mut loaded: Loaded) -> Result<Loaded, CliError> {
    preflight::check(&loaded.settings, &loaded.origins)?;
    loaded.warnings.extend(preflight::warnings(&loaded.settings, &loaded.origins));
    Ok(loaded)
}

/// Sets up the log, and logs warnings about the settings.
fn init_log(loaded: Loaded) -> Result<Settings, CliError> {
    let Loaded { settings, warnings, .. } = loaded;
    log::init(&settings.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// Records, and prints the summary, however the recording ended.
fn record(mut loaded: Loaded, config: &RecordConfig) -> Result<(), CliError> {
    // What is not exported is not checked.
    loaded.settings = config.apply(loaded.settings)?;
    let loaded = check(loaded)?;
    let Outcome { summary, result } = crate::app::record(init_log(loaded)?, config)?;
    let printed = summary.as_ref().map(|summary| output::write(format!("{summary}\n")));
    result?;
    printed.transpose()?;
    let Some(Summary { path, end, .. }) = summary else { return Ok(()) };
    end.map(drop).map_err(|source| CliError::Recording { path, source })
}

fn config(global: Global, command: ConfigCommand) -> Result<(), CliError> {
    let text = match command {
        ConfigCommand::Reference => eyepiece_config::reference(),
        ConfigCommand::Check(inner) => {
            describe_origins(&print_warnings(check(sources::load(&global.then(inner), &[])?)?))
        }
        ConfigCommand::Print(inner) => print_warnings(sources::load(&global.then(inner), &[])?).print(),
    };
    Ok(output::write(&text)?)
}

/// Prints the warnings to standard error.
fn print_warnings(loaded: Loaded) -> Loaded {
    for warning in &loaded.warnings {
        output::print_error(&format!("eyepiece: warning: {warning}"));
    }
    loaded
}

/// The result of a check without a mistake.
fn describe_origins(loaded: &Loaded) -> String {
    let mut origins: Vec<_> = loaded.origins.values().collect();
    origins.sort();
    origins.dedup();
    let from: Vec<_> = origins.iter().map(|origin| format!("\n  {origin}")).collect();
    match loaded.origins.len() {
        0 => "the configuration is good: every key has its default\n".to_owned(),
        1 => format!("the configuration is good: 1 key is set, by{}\n", from.concat()),
        n => format!("the configuration is good: {n} keys are set, by{}\n", from.concat()),
    }
}

/// Runs a command of Hubble's client with access to variables and our own settings.
fn with_context<T>(global: &Global, run: impl FnOnce(&CliContext<'_>) -> T) -> T {
    let hubble = || sources::load(global, &[]).map(|loaded| loaded.settings.hubble);
    run(&CliContext { variables: &sources::variable, hubble: &hubble })
}

fn status(global: &Global, flags: &StatusFlags) -> Result<(), CliError> {
    if let Some(address) = &flags.hubble {
        let form = flags.output.unwrap_or(if flags.json { Output::Json } else { Output::Compact });
        return Ok(with_context(global, |context| observe::status(address, form, &flags.connection, context))?);
    }
    let loaded = sources::load(global, &flags.address.flags())?;
    let listen = loaded.settings.admin.listen.ok_or(CliError::NoAddress)?;
    let (text, status) = crate::client::admin::fetch(listen)?;
    Ok(output::write(if flags.json { text + "\n" } else { status.to_string() })?)
}

fn lookup(global: &Global, flags: &LookupFlags) -> Result<(), CliError> {
    let loaded = sources::load(global, &flags.address.flags())?;
    let listen = loaded.settings.admin.listen.ok_or(CliError::NoAddress)?;
    let (text, found) = crate::client::admin::look_up(listen, &flags.query)?;
    output::write(if flags.json { text + "\n" } else { found.to_string() })?;
    if found.entries.is_empty() { Err(CliError::NotFound) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn declaration_is_consistent() {
        command().debug_assert();
    }

    /// The command lines in the help of a command and its sub-commands.
    fn examples(of: &clap::Command) -> Vec<String> {
        let help = of.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter_map(|line| line.strip_prefix("  eyepiece "));
        // Two blanks, or a redirection, end the command line.
        let own = lines.filter_map(|line| line.split("  ").next()?.split(" > ").next().map(str::to_owned));
        own.chain(of.get_subcommands().flat_map(examples)).collect()
    }

    #[test]
    fn every_example_is_parsed() {
        let examples = examples(&command());
        assert!(examples.len() > 20, "{examples:?}");
        for example in examples {
            let words = std::iter::once("eyepiece").chain(example.split(' '));
            let parsed = command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}
