//! Reads this process's sources of settings: its environment, flags and the host's name. No other module does.

use eyepiece_config::{ConfigError, DEFAULT_FILE, Loaded, Set, Sources};

use super::args::Global;

/// Reads the settings; flags of a sub-command override `--set`.
pub(super) fn load(global: &Global, flags: &[Set]) -> Result<Loaded, ConfigError> {
    let sets = global.set.iter().map(|(key, value)| Set {
        origin: format!("--set {key}"),
        key: key.clone(),
        value: value.clone(),
    });
    eyepiece_config::load(&Sources {
        env: std::env::vars_os().collect(),
        file: global.config.clone(),
        default_file: Some(DEFAULT_FILE.into()),
        sets: sets.chain(flags.iter().cloned()).collect(),
        hostname: hostname(),
    })
}

/// The host's name in the kernel; `localhost` if it has none.
fn hostname() -> String {
    let name = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    name.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// A variable of the environment; `None` if it is unset, or not UTF-8.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
