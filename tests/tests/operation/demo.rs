//! The demo as a newcomer starts it: what it shows, that it ends, and that nothing of it stays.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::process::Background;
use eyepiece_tests::{eventually, eyepiece};
use nix::sys::signal::Signal;

/// The variable in the environment by which all processes of one demo are found.
const MARK: &str = "DEMO_OF_TEST";
/// The folder of eyepiece's locks and sockets.
const FOLDER: &str = "/run/eyepiece";
/// A whole demo in a debug build on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running demo and what it made.
struct Demo {
    process: Background,
    mark: String,
}

/// The resources that a demo holds while it runs, and must release.
#[derive(Debug, Default)]
struct HeldResources {
    processes: BTreeSet<u32>,
    namespaces: BTreeSet<u64>,
    programs: BTreeSet<u32>,
}

impl Demo {
    fn start(name: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_with(name, arguments, &[])
    }

    /// With the user's environment.
    fn start_with(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let mark = format!("{MARK}={name}-{}", std::process::id());
        let mut command = Command::new(eyepiece::binary()?);
        eyepiece::without_settings(&mut command).arg("demo").args(arguments).env(MARK, &mark[MARK.len() + 1..]);
        command.envs(variables.iter().copied());
        Ok(Self { process: Background::spawn(&mut command)?, mark })
    }

    fn wait_for(&mut self, text: &str) -> Result<()> {
        eventually(TIMEOUT, &format!("no {text}"), || self.process.stdout().contains(text).then_some(()))
            .with_context(|| format!("{}{}", self.process.stdout(), self.process.stderr()))
    }

    fn held(&self) -> Result<HeldResources> {
        let own = fs::metadata("/proc/self/ns/net")?.ino();
        let mut held = HeldResources::default();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            // A process may end meanwhile.
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            if !environment.split(|&byte| byte == 0).any(|variable| variable == self.mark.as_bytes()) {
                continue;
            }
            held.processes.insert(pid);
            held.namespaces.extend(fs::metadata(path.join("ns/net")).map(|file| file.ino()));
            held.programs.extend(programs_of(pid));
        }
        held.namespaces.remove(&own);
        Ok(held)
    }

    /// Waits until nothing is left: the kernel takes namespaces apart in the background.
    fn is_gone(&self, held: &HeldResources) -> Result<()> {
        eventually(TIMEOUT, &format!("something of {held:?} is left"), || {
            let processes = self.held().is_ok_and(|held| held.processes.is_empty());
            let programs = held.programs.iter().any(|&id| program_exists(id));
            (processes && !programs && held.namespaces.is_disjoint(&namespaces())).then_some(())
        })
    }
}

/// Ids of the BPF programs that a process has open.
fn programs_of(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let id = |text: String| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    texts.filter_map(id).collect()
}

/// Returns whether the kernel still has a BPF program of an id.
fn program_exists(id: u32) -> bool {
    /// `BPF_PROG_GET_FD_BY_ID`.
    const GET_FD_BY_ID: libc::c_long = 13;
    let attribute = [id, 0, 0, 0];
    // SAFETY: the pointer and the length describe `attribute`, the beginning of `union bpf_attr`.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, GET_FD_BY_ID, attribute.as_ptr(), size_of_val(&attribute)) };
    if fd >= 0 {
        // SAFETY: the descriptor was just opened and nothing else has it.
        unsafe { libc::close(fd as libc::c_int) };
    }
    fd >= 0
}

/// Inodes of all network namespaces that a process lives in or a name leads to.
fn namespaces() -> BTreeSet<u64> {
    let entries = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let places = entries("/proc").map(|path| path.join("ns/net")).chain(entries("/run/netns"));
    places.filter_map(|path| Some(fs::metadata(path).ok()?.ino())).collect()
}

/// Removes the folder of locks and sockets if it is unused; returns whether it is used.
fn runtime_folder_is_used() -> bool {
    drop(fs::remove_dir(FOLDER));
    Path::new(FOLDER).exists()
}

fn interfaces() -> Result<BTreeSet<String>> {
    fs::read_dir("/sys/class/net")?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[test]
fn demo_shows_all_and_leaves_nothing() -> Result<()> {
    let (before, is_used) = (interfaces()?, runtime_folder_is_used());
    let mut demo = Demo::start("whole", &["--seconds", "4"])?;
    demo.wait_for("TCP SYN")?;
    let held = demo.held()?;
    // The demo, the product and the holders of the node and of three hosts.
    assert_eq!((held.processes.len(), held.namespaces.len()), (6, 4), "{held:?}");
    assert!(!held.programs.is_empty());
    let code = demo.process.wait(TIMEOUT)?.code();
    let (text, errors) = (demo.process.stdout(), demo.process.stderr());
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(!text.contains('\u{1b}'), "colours for what is no terminal");
    for words in [
        &["client 10.0.1.2:", "→ dns 10.0.3.2:53 ", "UDP", "FORWARDED from-endpoint"][..],
        &["client 10.0.1.2:", "→ web 10.0.2.2:80 ", "TCP SYN ", "FORWARDED to-endpoint"],
        &["web 10.0.2.2:80 ", "→ client 10.0.1.2:", "TCP SYN ACK", "FORWARDED"],
        &["client 10.0.1.2 ", "→ web 10.0.2.2 ", "ICMPv4 EchoRequest", "FORWARDED"],
        &["web fd02::2 ", "→ client fd01::2 ", "ICMPv6 EchoReply", "FORWARDED"],
        &["client [fd01::2]:", "→ web [fd02::2]:80 ", "TCP FIN ACK", "FORWARDED"],
        &["client [fd01::2]:", "→ dns [fd03::2]:53 ", "UDP", "FORWARDED"],
        &["client 10.0.1.2:", "✗ web 10.0.2.2:23 ", "TCP SYN", "DROPPED NETFILTER_DROP"],
        &["client 10.0.1.2:", "✗ web 10.0.2.2:8080 ", "TCP SYN", "DROPPED NO_SOCKET"],
        &["client 10.0.1.2:", "✗ world 203.0.113.9:9 ", "UDP", "DROPPED IP_INNOROUTES"],
        // The tables.
        &["hubble.flow.io"],
        &["  client → web ", " B"],
        &["hubble.drop"],
        &["  NETFILTER_DROP ", "TCP ", "client → web ", " 1"],
        &["  NO_SOCKET ", "TCP ", "client → web ", " 1"],
        &["  IP_INNOROUTES ", "UDP ", "client → world ", " 1"],
        &["hubble.tcp_flags"],
        &["  SYN-ACK ", "web → client "],
        &["hubble.flows_processed"],
        &["  FORWARDED ", "ICMPv6 ", "to-endpoint "],
        &["events lost: 0"],
        &["eyepiece run --endpoint http://collector:4317"],
    ] {
        assert!(text.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} in:\n{text}");
    }
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    demo.is_gone(&held)?;
    assert_eq!(interfaces()?, before);
    assert_eq!(Path::new(FOLDER).exists(), is_used);
    Ok(())
}

#[test]
fn demo_ignores_receiver_of_user() -> Result<()> {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4317"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/nowhere/cert.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere/key.pem"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example:4317"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example:4317"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,team=net"),
        ("EYEPIECE_OTLP__LOGS__TLS__CA", "/nowhere/other.pem"),
    ];
    let mut demo = Demo::start_with("settings", &["--seconds", "3"], &variables)?;
    let code = demo.process.wait(TIMEOUT)?.code();
    let (text, errors) = (demo.process.stdout(), demo.process.stderr());
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.contains("TCP SYN") && text.contains("hubble.flow.io"), "{text}");
    Ok(())
}

#[test]
fn killed_demo_leaves_nothing() -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, 0), (Signal::SIGTERM, 0), (Signal::SIGKILL, 137)] {
        let is_used = runtime_folder_is_used();
        let mut demo = Demo::start(signal.as_str(), &["--seconds", "600"])?;
        demo.wait_for("TCP SYN")?;
        let held = demo.held()?;
        assert_eq!((held.processes.len(), held.namespaces.len()), (6, 4), "{held:?}");
        assert_eq!(demo.process.stop(signal, TIMEOUT)?, code, "{signal}: {}", demo.process.stderr());
        demo.is_gone(&held)?;
        // A killed program cannot remove its folder.
        if code == 0 {
            assert_eq!(Path::new(FOLDER).exists(), is_used, "{signal}");
        }
    }
    Ok(())
}

#[test]
fn interrupted_clsact_demo_leaves_no_folder() -> Result<()> {
    let is_used = runtime_folder_is_used();
    let mut demo = Demo::start("folder", &["--seconds", "600", "--set", "datapath.attach=clsact"])?;
    demo.wait_for("TCP SYN")?;
    let held = demo.held()?;
    assert!(fs::read_dir(FOLDER)?.count() > 0, "the lock is held");
    assert_eq!(demo.process.stop(Signal::SIGINT, TIMEOUT)?, 0, "{}", demo.process.stderr());
    demo.is_gone(&held)?;
    assert_eq!(Path::new(FOLDER).exists(), is_used);
    Ok(())
}

#[test]
fn demo_without_root_names_privilege() -> Result<()> {
    // Readable by everybody, whatever folder the program was built in.
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("eyepiece");
    fs::copy(eyepiece::binary()?, &program)?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new(&program);
    let output = eyepiece::without_settings(&mut command).arg("demo").uid(65_534).gid(65_534).output()?;
    assert_eq!(output.status.code(), Some(77));
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.contains("missing privilege") && errors.contains("run it as root"), "{errors}");
    assert!(output.stdout.is_empty());
    Ok(())
}
