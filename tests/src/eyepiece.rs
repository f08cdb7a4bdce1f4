//! The product as a process: started in a namespace with a configuration, asked over its admin listener, stopped.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::namespace::Inside;
use crate::process::Background;

/// The product's text on standard error before the address of its admin listener.
const ADMIN_LINE: &str = "admin listener on ";

/// Timeout of a start, for a debug build on a busy machine.
const START: Duration = Duration::from_secs(30);

/// Timeout of a drain.
const STOP: Duration = Duration::from_secs(30);

/// A running `eyepiece run`.
#[derive(Debug)]
pub struct Eyepiece {
    /// The process: its id, output, memory, descriptors.
    pub process: Background,
    inside: Inside,
    admin: Option<SocketAddr>,
    folder: tempfile::TempDir,
}

/// A hook of the datapath, as /status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The interface; empty for the whole machine's.
    pub interface: String,
    /// The hook.
    pub name: String,
    /// Whether it is attached.
    pub attached: bool,
    /// How.
    pub by: String,
    /// The error of attaching it.
    pub error: Option<String>,
}

/// The configuration of a run; [`Eyepiece::builder`] begins one.
#[derive(Clone, Debug)]
pub struct Builder {
    command: String,
    config: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    program: Option<PathBuf>,
}

impl Builder {
    /// Another sub-command than `run`.
    pub fn command(mut self, command: &str) -> Self {
        command.clone_into(&mut self.command);
        self
    }

    /// Adds an argument after `run --config FILE`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// An environment variable; none of `OTEL_*` and `EYEPIECE_*` is passed on from the test.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another program than [`binary`].
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self, inside: &Inside) -> Result<Eyepiece> {
        let mut eyepiece = self.launch(inside)?;
        eyepiece.wait_until_ready()?;
        Ok(eyepiece)
    }

    /// Starts it without waiting: for configurations that it refuses.
    pub fn launch(self, inside: &Inside) -> Result<Eyepiece> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("config.toml");
        std::fs::write(&path, with_defaults(&self.config))?;
        let program = self.program.map_or_else(binary, Ok)?;
        let mut command = inside.command(program);
        command.arg(&self.command).arg("--config").arg(&path).args(&self.arguments).envs(self.variables);
        let process = Background::spawn(&mut command)?;
        Ok(Eyepiece { process, inside: inside.clone(), admin: None, folder })
    }
}

impl Eyepiece {
    /// With a configuration in TOML; without an admin listener, one on a free port is added.
    pub fn builder(config: &str) -> Builder {
        Builder {
            command: "run".to_owned(),
            config: config.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            program: None,
        }
    }

    /// [`Builder::start`] with nothing but a configuration.
    pub fn start(inside: &Inside, config: &str) -> Result<Self> {
        Self::builder(config).start(inside)
    }

    /// Waits for the admin listener and for /readyz.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let line = self.process.wait_for_line(ADMIN_LINE, START)?;
        let address = admin_address(&line).with_context(|| format!("no address in {line:?}"))?;
        self.admin = Some(address);
        crate::eventually(START, "not ready", || matches!(self.get("/readyz"), Ok((200, _))).then_some(()))
            .with_context(|| self.process.stderr())
    }

    /// The admin listener's address, in the namespace.
    pub fn admin(&self) -> Result<SocketAddr> {
        self.admin.context("not ready yet")
    }

    /// GET from the admin listener: status and body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        self.inside.get(self.admin()?, path)
    }

    /// /status, parsed.
    pub fn status(&self) -> Result<serde_json::Value> {
        let (code, body) = self.get("/status")?;
        ensure!(code == 200, "/status: {code}: {body}");
        serde_json::from_str(&body).with_context(|| body.clone())
    }

    /// The sum of the numbers of a name in /status whose attributes contain these, or 0.
    pub fn number(&self, name: &str, attributes: &[(&str, &str)]) -> Result<u64> {
        let status = self.status()?;
        let samples = status["samples"].as_array().context("no samples")?;
        let wanted = samples.iter().filter(|sample| {
            sample["name"] == name && attributes.iter().all(|&(key, value)| sample["attributes"][key] == value)
        });
        Ok(wanted.filter_map(|sample| sample["value"].as_u64()).sum())
    }

    /// The hooks in /status: interface, hook, error.
    pub fn hooks(&self) -> Result<Vec<Hook>> {
        let status = self.status()?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let hooks = status["hooks"].as_array().context("no hooks")?.iter();
        let hook = |hook: &serde_json::Value| Hook {
            interface: text(&hook["interface"]).unwrap_or_default(),
            name: text(&hook["hook"]).unwrap_or_default(),
            attached: hook["attached"] == true,
            by: text(&hook["by"]).unwrap_or_default(),
            error: text(&hook["error"]),
        };
        Ok(hooks.map(hook).collect())
    }

    /// Waits until both hooks of an interface are attached, or gone.
    pub fn wait_for_hooks(&self, interface: &str, attached: bool) -> Result<()> {
        let wanted = if attached { 2 } else { 0 };
        let count = || self.hooks().ok().map(|hooks| hooks.iter().filter(|hook| hook.interface == interface).count());
        crate::eventually(START, "hooks", || (count() == Some(wanted)).then_some(()))
            .with_context(|| format!("{interface}: {:?}\n{}", self.hooks(), self.stderr()))
    }

    /// The folder of its configuration, for a test's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns its log so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Asks it to drain and leave: the exit code.
    pub fn stop(&mut self) -> Result<i32> {
        self.process.stop(Signal::SIGTERM, STOP)
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.stop(Signal::SIGKILL, STOP).map(drop)
    }

    /// Waits for its end without asking for it: the exit code.
    pub fn exit_code(&mut self) -> Result<Option<i32>> {
        Ok(self.process.wait(START)?.code())
    }
}

/// Keeps `OTEL_*` and `EYEPIECE_*` of the test's environment from a program that would take them for settings.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text.starts_with("EYEPIECE_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The program: `EYEPIECE_BIN`, else the one in the target folder of the running test.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("EYEPIECE_BIN") {
        return Ok(path.into());
    }
    // target/debug/deps/test-0123 → target/debug/eyepiece
    let test = std::env::current_exe()?;
    let path = test.ancestors().nth(2).context("the test is in no target folder")?.join("eyepiece");
    ensure!(path.is_file(), "no program at {}: cargo build", path.display());
    Ok(path)
}

/// A program in this folder that runs the product with other capabilities than root's: `sets` as setpriv(1) takes them.
pub fn with_capabilities(folder: &Path, sets: &str) -> Result<PathBuf> {
    let (path, program) = (folder.join("confined"), binary()?);
    let script =
        format!("#!/bin/sh\nexec setpriv --bounding-set {sets} --inh-caps {sets} {} \"$@\"\n", program.display());
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

/// Adds the defaults of tests: an admin listener on a free port, and no Hubble API, whose address tests would share.
fn with_defaults(config: &str) -> String {
    let speaks_of = |table: &str| {
        let mut lines = config.lines().map(str::trim);
        lines.any(|line| {
            [format!("[{table}]"), format!("[{table}.")].iter().any(|start| line.starts_with(start))
                || line.starts_with(&format!("{table}."))
        })
    };
    let mut config = config.to_owned();
    for (table, listen) in [("admin", "\"127.0.0.1:0\""), ("hubble", "[]")] {
        if !speaks_of(table) {
            config += &format!("\n[{table}]\nlisten = {listen}\n");
        }
    }
    config
}

fn admin_address(line: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(ADMIN_LINE)? + ADMIN_LINE.len()..];
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{admin_address, with_defaults};

    #[test]
    fn admin_line_is_read_in_formats() {
        for (line, address) in [
            ("INFO admin listener on 127.0.0.1:4000", Some("127.0.0.1:4000")),
            ("{\"message\":\"admin listener on [::1]:4000\"}", Some("[::1]:4000")),
            ("admin listener on nothing", None),
            ("listening", None),
        ] {
            assert_eq!(admin_address(line), address.map(|text| text.parse().expect(text)), "{line}");
        }
    }

    #[test]
    fn unset_keys_get_defaults() {
        let (admin, hubble) = ("\n[admin]\nlisten = \"127.0.0.1:0\"\n", "\n[hubble]\nlisten = []\n");
        for (config, added) in [
            ("[otlp]", format!("{admin}{hubble}")),
            ("[admin]\nlisten = \"\"", hubble.to_owned()),
            ("admin.listen = \"\"", hubble.to_owned()),
            ("[hubble.tls]\ncert = \"a\"", admin.to_owned()),
            ("[admin]\n[hubble]", String::new()),
            ("[hubble_source]", format!("{admin}{hubble}")),
        ] {
            assert_eq!(with_defaults(config), format!("{config}{added}"));
        }
    }
}
