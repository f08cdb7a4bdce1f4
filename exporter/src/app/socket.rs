//! Groups and folders of the unix sockets that settings name.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::unistd::Gid;

use super::error::{AppError, SettingError};
use crate::source::datapath::lock;
use crate::support::unix_listener;

/// The id of a group that a setting names; `None` if it names none.
pub(super) fn group(key: &'static str, name: &str) -> Result<Option<Gid>, AppError> {
    if name.is_empty() {
        return Ok(None);
    }
    let group = unix_listener::group(name).with_context(|| format!("{key}: cannot read the groups"))?;
    let missing = || SettingError {
        key,
        wrong: format!("there is no group {name:?} on this machine"),
        right: "add it, use a group's number, or leave the key empty",
    };
    Ok(Some(group.ok_or_else(missing)?))
}

/// Creates a socket's folder if it is our own, /run/eyepiece.
pub(super) fn make_folder(path: &Path) {
    if path.parent() == Some(Path::new(lock::FOLDER))
        && let Err(error) = DirBuilder::new().recursive(true).mode(0o755).create(lock::FOLDER)
    {
        // The bind that follows fails with an error of its own.
        tracing::debug!(%error, folder = lock::FOLDER, "cannot make a socket's folder");
    }
}
