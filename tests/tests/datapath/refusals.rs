//! Errors that keep the product from starting: their texts and exit codes.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::bpf::Objects;
use eyepiece_tests::eyepiece::{binary, with_capabilities};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Background, Eyepiece, Lab, Receiver, Uplink, eventually};

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(30);

fn lab() -> Result<Lab> {
    Lab::builder().uplink(Uplink::None).build()
}

fn config(attach: &str, receiver: &Receiver) -> String {
    let endpoint = receiver.endpoint();
    format!(
        "[datapath]\nattach = \"{attach}\"\n[otlp]\nendpoint = \"{endpoint}\"\n[otlp.metrics]\ninterval = \"200ms\"\n"
    )
}

#[test]
fn wrong_configuration_is_named_with_key() -> Result<()> {
    let lab = lab()?;
    for (config, words) in [
        ("[datapath]\naggregation = \"many\"\n", &["datapath.aggregation", "many"][..]),
        ("[datapath]\nbufer = \"1MiB\"\n", &["bufer"]),
        (
            "[otlp]\nendpoint = \"collector\"\n[datapath]\ncapture_bytes = 81\n",
            &["otlp.endpoint", "datapath.capture_bytes"],
        ),
        ("[datapath", &["config.toml"]),
    ] {
        let mut eyepiece = Eyepiece::builder(config).launch(lab.node())?;
        assert_eq!(eyepiece.exit_code()?, Some(78), "{config}: {}", eyepiece.stderr());
        let errors = eyepiece.stderr();
        assert!(words.iter().all(|word| errors.contains(word)), "{config}: {errors}");
    }
    let mut eyepiece = Eyepiece::builder("[datapath]\ndrops_ignore = [\"NO_SUCH\"]\n").launch(lab.node())?;
    assert_eq!(eyepiece.exit_code()?, Some(78), "{}", eyepiece.stderr());
    let errors = eyepiece.stderr();
    assert!(errors.contains("datapath.drops_ignore (from ") && errors.contains("NO_SUCH"), "{errors}");
    Ok(())
}

#[test]
fn missing_privilege_is_named() -> Result<()> {
    let lab = lab()?;
    let folder = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir()?;
    let program = folder.path().join("eyepiece");
    // In a place that a user without privileges can reach.
    std::fs::copy(binary()?, &program)?;
    for identity in ["--reuid 65534 --regid 65534 --clear-groups", "--bounding-set -all --inh-caps -all"] {
        let mut command = lab.node().command("setpriv");
        command.args(identity.split(' ')).arg(&program).args(["run", "--set", "admin.listen=127.0.0.1:0"]);
        let mut eyepiece = Background::spawn(&mut command)?;
        let code = eyepiece.wait(TIMEOUT)?.code();
        let is_logged = eventually(TIMEOUT, "a line", || eyepiece.stderr().contains("missing privilege").then_some(()));
        assert!(code == Some(77) && is_logged.is_ok(), "{identity}: {code:?} {}", eyepiece.stderr());
        assert!(eyepiece.stderr().contains("NET_ADMIN"), "{}", eyepiece.stderr());
    }
    Ok(())
}

#[test]
fn only_missing_capabilities_are_named() -> Result<()> {
    let (lab, folder) = (lab()?, tempfile::tempdir()?);
    let all = ["BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN"];
    for (gone, missing) in [
        (&["perfmon", "sys_admin"][..], &["PERFMON"][..]),
        (&["bpf", "sys_admin"], &["BPF"]),
        (&["net_admin"], &["NET_ADMIN"]),
        (&["net_admin", "bpf", "perfmon", "sys_admin"], &["BPF", "NET_ADMIN", "PERFMON"]),
    ] {
        let less: Vec<_> = gone.iter().map(|name| format!("-{name}")).collect();
        let program = with_capabilities(folder.path(), &less.join(","))?;
        let mut eyepiece = Eyepiece::builder("").program(&program).launch(lab.node())?;
        assert_eq!(eyepiece.exit_code()?, Some(77), "{gone:?}: {}", eyepiece.stderr());
        let errors = eyepiece.stderr();
        for name in all {
            assert_eq!(errors.contains(name), missing.contains(&name), "{gone:?}: {name}: {errors}");
        }
        assert!(errors.lines().count() < 5, "{errors}");
    }
    Ok(())
}

#[test]
fn documented_capabilities_suffice_for_counting() -> Result<()> {
    let (lab, folder) = (lab()?, tempfile::tempdir()?);
    let few = "-all,+bpf,+net_admin,+perfmon";
    let path = with_capabilities(folder.path(), few)?;
    let receiver = Receiver::start(lab.node())?;
    let mut eyepiece = Eyepiece::builder(&config("auto", &receiver)).program(&path).start(lab.node())?;
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(1000).run()?;
    // No listener: a drop in the namespace behind an endpoint.
    let (b, target) = (lab.endpoint("b"), (lab.endpoint("a").v4, 9));
    b.namespace.run(|| {
        let socket = std::net::UdpSocket::bind((b.v4, 0))?;
        (0..20).try_for_each(|_| socket.send_to(&[0; 8], target).map(drop))
    })?;
    let drops = || receiver.sum("hubble.drop", &[]);
    eventually(TIMEOUT, "no drops", || (drops() >= 20).then_some(())).with_context(|| eyepiece.stderr())?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let ends = [("hubble.source.name", "ve-a"), ("hubble.destination.name", "ve-b")];
    // Each drop has its answer.
    assert_eq!(receiver.sum("hubble.flow.packets", &ends), 1000 + 20, "{}", eyepiece.stderr());
    let errors = eyepiece.stderr();
    assert!(errors.contains("capability SYS_PTRACE"), "{errors}");
    // Where everybody may see the kernel's symbols nothing is lost.
    let shown = lab.node().exec(&format!("setpriv --bounding-set {few} --inh-caps {few} head -n 1 /proc/kallsyms"))?;
    let is_hidden = shown.starts_with("0000000000000000 ");
    assert_eq!(errors.contains("SYSLOG") && errors.contains("kernel.kptr_restrict"), is_hidden, "{shown}{errors}");
    Ok(())
}

#[test]
fn only_root_can_lock_clsact() -> Result<()> {
    let lab = lab()?;
    let name = SocketAddr::from_abstract_name(b"eyepiece/clsact")?;
    let held = lab.node().run(|| UnixDatagram::bind_addr(&name))?;
    let lock = PathBuf::from(format!("/run/eyepiece/clsact-{}.lock", lab.node().inode()?));
    let receiver = Receiver::start(lab.node())?;
    let mut eyepiece = Eyepiece::start(lab.node(), &config("clsact", &receiver))?;
    assert_eq!(lock.metadata()?.permissions().mode() & 0o7777, 0o600);
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    assert!(!lock.exists());
    drop(held);
    Ok(())
}

#[test]
fn used_admin_address_leaves_nothing_attached() -> Result<()> {
    let lab = lab()?;
    let taken = lab.node().run(|| std::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = taken.local_addr()?.to_string();
    for attach in ["tcx", "clsact"] {
        let config = format!("[datapath]\nattach = \"{attach}\"\n[admin]\nlisten = \"{address}\"\n");
        let mut eyepiece = Eyepiece::builder(&config).launch(lab.node())?;
        assert_eq!(eyepiece.exit_code()?, Some(1), "{}", eyepiece.stderr());
        let errors = eyepiece.stderr();
        assert!(errors.contains(&address) && errors.contains("admin.listen"), "{errors}");
        assert_eq!(errors.matches("os error").count(), 1, "the cause is named once: {errors}");
        let qdiscs = lab.node().exec("tc qdisc show")?;
        assert!(!qdiscs.contains("clsact"), "{attach}: {qdiscs}");
    }
    Ok(())
}

#[test]
fn two_instances_count_or_second_refuses() -> Result<()> {
    let lab = lab()?;
    let attributes = [("network.interface.name", "ve-b"), ("network.io.direction", "transmit")];
    for (first, second) in [("tcx", "tcx"), ("clsact", "tcx"), ("tcx", "clsact")] {
        let receivers = [Receiver::start(lab.node())?, Receiver::start(lab.node())?];
        let mut one = Eyepiece::start(lab.node(), &config(first, &receivers[0]))?;
        let mut two = Eyepiece::start(lab.node(), &config(second, &receivers[1]))?;
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(1000).run()?;
        for eyepiece in [&mut one, &mut two] {
            assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        }
        let counted = receivers.each_ref().map(|receiver| receiver.sum("hubble.interface.packets", &attributes));
        assert_eq!(counted, [1000, 1000], "{first} {second}");
    }
    let receiver = Receiver::start(lab.node())?;
    let mut one = Eyepiece::start(lab.node(), &config("clsact", &receiver))?;
    let mut two = Eyepiece::builder(&config("clsact", &receiver)).launch(lab.node())?;
    assert_eq!(two.exit_code()?, Some(1), "{}", two.stderr());
    assert!(two.stderr().contains("clsact") && two.stderr().contains("another"), "{}", two.stderr());
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(1000).run()?;
    assert_eq!(one.stop()?, 0, "{}", one.stderr());
    assert_eq!(receiver.sum("hubble.interface.packets", &attributes), 1000);
    Ok(())
}

#[test]
fn closed_stdout_ends_without_error() -> Result<()> {
    let lab = lab()?;
    let folder = tempfile::tempdir()?;
    let flags = "run --protocol stdout --set admin.listen=127.0.0.1:0 --set datapath.aggregation=none \
                 --set otlp.metrics.interval=300ms";
    // The pipe is closed once the first lines were read; the exit code is written to a file.
    let code = folder.path().join("code");
    let script = format!("( {} {flags}; echo $? >{} ) | head -n 3", binary()?.display(), code.display());
    let mut shell = lab.node().command("sh");
    let mut shell = Background::spawn(shell.arg("-c").arg(script))?;
    shell.wait_for_line("admin listener on", TIMEOUT)?;
    let held = Objects::of(nix::unistd::Pid::from_raw(eyepiece_in(&lab)?))?;
    let ended = || {
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(200).run().ok()?;
        std::fs::read_to_string(&code).ok().filter(|text| !text.is_empty())
    };
    let code = eventually(TIMEOUT, "an end", ended).with_context(|| shell.stderr())?;
    assert_eq!(code.trim(), "0", "{}", shell.stderr());
    assert_eq!(shell.stdout().lines().count(), 3);
    assert!(!shell.stderr().contains("panicked") && !shell.stderr().contains("ERROR"), "{}", shell.stderr());
    eventually(TIMEOUT, "freed", || held.left().is_empty().then_some(()))
}

/// The process id of the eyepiece in the node.
fn eyepiece_in(lab: &Lab) -> Result<i32> {
    let is_it = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "eyepiece")
    };
    lab.node().processes()?.into_iter().find(is_it).context("no eyepiece runs")
}
