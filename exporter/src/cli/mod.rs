//! The command line: parse, read the settings, do what was asked, and say how it went by the exit code.

mod args;
mod log;
pub mod observe;
mod output;
mod sources;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use eyepiece_config::{ConfigError, Loaded, Settings};

use crate::app::record::Options as RecordOptions;
use crate::app::{AppError, Ended, preflight};
use crate::client::admin::ClientError;
use crate::demo::{DemoError, Options};
use crate::recording::Summary;
use args::{Args, Command, ConfigCommand, Global, StatusFlags};
use observe::{Form, ObserveError, Surroundings};

/// How a command ended, as sysexits(3) numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked.
    Clean = 0,
    /// It did not.
    Failed = 1,
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// A privilege is missing (EX_NOPERM).
    Privilege = 77,
    /// The configuration is wrong (EX_CONFIG).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Status(#[from] ClientError),
    #[error(transparent)]
    Observe(ObserveError),
    #[error("admin.listen is empty, so there is no address to ask; set it, or use --address")]
    NoAddress,
    #[error("there is no sub-command {name:?}")]
    NoSuchCommand { name: String },
    #[error("cannot write to standard output: {source}")]
    Output {
        #[from]
        source: std::io::Error,
    },
    #[error("the recording {path} was not written to its end: {source}", path = path.display())]
    Recording { path: std::path::PathBuf, source: std::io::Error },
    #[error("cannot set up the log: {source}")]
    Log { source: tracing_subscriber::util::TryInitError },
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::App(error) => Self::App(error),
            DemoError::Output { source } => Self::Output { source },
        }
    }
}

impl From<ObserveError> for CliError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Config(error) => Self::Config(error),
            ObserveError::Output(source) => Self::Output { source },
            error => Self::Observe(error),
        }
    }
}

impl CliError {
    const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::App(AppError::Setting { .. }) => Exit::Config,
            Self::App(AppError::MissingPrivilege { .. }) => Exit::Privilege,
            Self::NoSuchCommand { .. }
            | Self::Observe(
                ObserveError::Usage(_) | ObserveError::Client(crate::client::hubble::ClientError::Options(_)),
            ) => Exit::Usage,
            Self::App(AppError::Failed(_) | AppError::Left)
            | Self::Status(_)
            | Self::Observe(_)
            | Self::NoAddress
            | Self::Output { .. }
            | Self::Recording { .. }
            | Self::Log { .. } => Exit::Failed,
        }
    }
}

/// Runs the command that the arguments name; the first one is the program's own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let parsed = command().try_get_matches_from(arguments).and_then(|matches| Args::from_arg_matches(&matches));
    let result = match parsed {
        Ok(args) => dispatch(args),
        Err(error) => return usage(&error),
    };
    match result {
        Ok(()) => Exit::Clean,
        // Whoever reads us has seen enough (`eyepiece config reference | head`).
        Err(CliError::Output { source }) if source.kind() == std::io::ErrorKind::BrokenPipe => Exit::Clean,
        Err(error) => {
            output::complain(&format!("eyepiece: {error}"));
            error.exit()
        }
    }
}

fn command() -> clap::Command {
    Args::command()
}

/// Help and version are no mistakes; clap's own exit code for one is 2, ours is EX_USAGE.
fn usage(error: &clap::Error) -> Exit {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match error.print() {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ if asked => Exit::Clean,
        _ => Exit::Usage,
    }
}

fn dispatch(args: Args) -> Result<(), CliError> {
    let Args { global, command: asked } = args;
    match asked {
        None => Ok(output::help(command())?),
        Some(Command::Completions { shell }) => Ok(output::completions(command(), shell)?),
        Some(Command::Man { names }) => output::man(command(), &names),
        Some(Command::Config { global: inner, command }) => config(global.then(inner), command),
        Some(Command::Status(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            status(&global, &flags)
        }
        Some(Command::Observe(flags)) => Ok(around(&global, |around| observe::observe(*flags, around))?),
        Some(Command::Run(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            let loaded = sources::load(&global, &flags.flags())?;
            preflight::check(&loaded.settings, &loaded.origins)?;
            Ok(crate::app::run(logged(loaded)?)?)
        }
        Some(Command::Record(mut flags)) => {
            let global = global.then(std::mem::take(&mut flags.global));
            record(sources::load(&global, &[])?, &flags.options())
        }
        Some(Command::Demo(flags)) => {
            let global = global.then(flags.global);
            // Read for its mistakes: before anything is made, and with the key's name.
            log::init(&sources::load(&global, &[])?.settings.log)?;
            let Global { config, set: sets } = global;
            Ok(crate::demo::run(Options { seconds: flags.seconds, config, sets })?)
        }
    }
}

/// Sets up the log, and tells there what is doubtful in the settings.
fn logged(loaded: Loaded) -> Result<Settings, CliError> {
    let Loaded { settings, warnings, .. } = loaded;
    log::init(&settings.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// The summary goes to standard output, however the recording has ended.
fn record(loaded: Loaded, options: &RecordOptions) -> Result<(), CliError> {
    // Of what is not exported nothing is checked.
    preflight::check(&options.settings(loaded.settings.clone())?, &loaded.origins)?;
    let Ended { summary, result } = crate::app::record(logged(loaded)?, options)?;
    let printed = summary.as_ref().map(|summary| output::write(&format!("{summary}\n")));
    result?;
    printed.transpose()?;
    let Some(Summary { path, end, .. }) = summary else { return Ok(()) };
    end.map(drop).map_err(|source| CliError::Recording { path, source })
}

fn config(global: Global, command: ConfigCommand) -> Result<(), CliError> {
    let text = match command {
        ConfigCommand::Reference => eyepiece_config::reference(),
        ConfigCommand::Check(inner) => {
            let mut loaded = sources::load(&global.then(inner), &[])?;
            preflight::check(&loaded.settings, &loaded.origins)?;
            loaded.warnings.extend(preflight::warnings(&loaded));
            checked(&warned(loaded))
        }
        ConfigCommand::Print(inner) => warned(sources::load(&global.then(inner), &[])?).print(),
    };
    Ok(output::write(&text)?)
}

/// Settings whose warnings have been told, beside what is printed.
fn warned(loaded: Loaded) -> Loaded {
    for warning in &loaded.warnings {
        output::complain(&format!("eyepiece: warning: {warning}"));
    }
    loaded
}

fn checked(loaded: &Loaded) -> String {
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

/// Runs with what Hubble's client may have to know of us.
fn around<T>(global: &Global, run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    let hubble = || sources::load(global, &[]).map(|loaded| loaded.settings.hubble);
    run(&Surroundings { variables: &sources::variable, hubble: &hubble })
}

fn status(global: &Global, flags: &StatusFlags) -> Result<(), CliError> {
    if let Some(address) = &flags.hubble {
        let form = flags.output.unwrap_or(if flags.json { Form::Json } else { Form::Compact });
        return Ok(around(global, |around| observe::status(address, form, &flags.connection, around))?);
    }
    let loaded = sources::load(global, &flags.address.flags())?;
    let listen = loaded.settings.admin.listen.ok_or(CliError::NoAddress)?;
    let (text, status) = crate::client::admin::fetch(listen)?;
    Ok(output::write(&if flags.json { text + "\n" } else { status.to_string() })?)
}

#[cfg(test)]
mod tests {
    use super::{AppError, CliError, Exit, command};

    #[test]
    fn the_declaration_holds_together() {
        command().debug_assert();
    }

    /// The command lines that the help of a command and of those below it shows.
    fn examples(of: &clap::Command) -> Vec<String> {
        let help = of.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter_map(|line| line.strip_prefix("  eyepiece "));
        // Two blanks, or what a shell does with the output, end it.
        let own = lines.filter_map(|line| line.split("  ").next()?.split(" > ").next().map(str::to_owned));
        own.chain(of.get_subcommands().flat_map(examples)).collect()
    }

    #[test]
    fn every_example_is_understood() {
        let examples = examples(&command());
        assert!(examples.len() > 20, "{examples:?}");
        for example in examples {
            let words = std::iter::once("eyepiece").chain(example.split(' '));
            let understood = command().try_get_matches_from(words);
            assert!(understood.is_ok(), "{example}: {}", understood.unwrap_err());
        }
    }

    #[test]
    fn a_missing_privilege_is_named_and_has_its_exit_code() {
        let error = CliError::from(AppError::MissingPrivilege { operation: "loading a program".to_owned() });
        assert_eq!(error.exit(), Exit::Privilege);
        assert_eq!(error.to_string(), "missing privilege: loading a program");
        let error = CliError::from(AppError::from(anyhow::anyhow!("cause").context("what")));
        assert_eq!((error.exit(), error.to_string().as_str()), (Exit::Failed, "what: cause"));
    }
}
