//! The exit codes of the program.

use std::process::ExitCode;

/// The exit code of a command, as in sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It succeeded.
    Clean = 0,
    /// It failed.
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
