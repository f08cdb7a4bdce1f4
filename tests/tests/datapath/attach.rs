//! Checks the attached programs beside others', and that none remain afterwards.

use std::time::Duration;

use anyhow::{Result, ensure};
use eyepiece_tests::bpf::{Counting, Info, Objects, Order, Side};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Eyepiece, Inside, Lab, Uplink, eventually};

/// Longest wait for the kernel to free unused objects.
const FREED: Duration = Duration::from_secs(10);

fn config(attach: &str) -> String {
    format!(
        "[datapath]\nattach = \"{attach}\"\n[otlp.metrics]\nenabled = false\n[otlp.logs]\nprotocol = \"stdout\"\n\
         [log]\nlevel = \"debug\"\n"
    )
}

fn lab() -> Result<Lab> {
    Lab::builder().uplink(Uplink::None).build()
}

/// Nothing is left of what a process held, and nothing of ours is pinned.
fn assert_gone(held: &Objects) {
    let gone = eventually(FREED, "freed", || held.left().is_empty().then_some(()));
    assert!(gone.is_ok(), "{:?}", held.left());
    let pinned: Vec<_> = std::fs::read_dir("/sys/fs/bpf").into_iter().flatten().flatten().collect();
    let ours = |name: &str| name.starts_with("eyepiece") || name.starts_with("EP_");
    assert!(!pinned.iter().any(|entry| ours(&entry.file_name().to_string_lossy())), "{pinned:?}");
}

/// Lines of `tc filter show` with filters of ours, and of others, at both sides of all interfaces.
fn filters(inside: &Inside) -> Result<(Vec<String>, Vec<String>)> {
    let mut all = Vec::new();
    for device in ["ve-a", "ve-b"] {
        for side in ["ingress", "egress"] {
            let shown = inside.exec(&format!("tc filter show dev {device} {side}"))?;
            let programs = shown.lines().filter(|line| line.contains("direct-action"));
            all.extend(programs.map(|line| format!("{device} {side} {}", line.trim())));
        }
    }
    Ok(all.into_iter().partition(|line| line.contains("eyepiece_")))
}

fn qdiscs(inside: &Inside) -> Result<Vec<String>> {
    let shown = inside.exec("tc qdisc show")?;
    Ok(shown.lines().filter(|line| line.contains("clsact")).map(str::to_owned).collect())
}

/// Foreign programs at all four places, some before ours and some after, by the time of attaching.
fn foreign(inside: &Inside, attach: &str, order: Order) -> Result<Vec<(Side, Counting)>> {
    let mut all = Vec::new();
    for device in ["ve-a", "ve-b"] {
        for side in [Side::Ingress, Side::Egress] {
            // Within a priority of clsact the newest filter runs first.
            let (priority, handle) = if order == Order::First { (1, 7) } else { (2, 8) };
            let program = match attach {
                "tcx" => Counting::tcx(inside, device, side, order)?,
                _ => Counting::clsact(inside, device, side, priority, handle)?,
            };
            all.push((side, program));
        }
    }
    Ok(all)
}

#[test]
fn foreign_programs_see_every_packet() -> Result<()> {
    for attach in ["tcx", "clsact"] {
        let lab = lab()?;
        if attach == "clsact" {
            for device in ["ve-a", "ve-b"] {
                lab.node().exec(&format!("tc qdisc add dev {device} clsact"))?;
            }
        }
        let mut others = foreign(lab.node(), attach, Order::Last)?;
        let mut eyepiece = Eyepiece::start(lab.node(), &config(attach))?;
        others.extend(foreign(lab.node(), attach, Order::First)?);
        let hooks = eyepiece.hooks()?;
        assert_eq!(hooks.iter().filter(|hook| hook.attached && hook.by == attach).count(), 4, "{hooks:?}");
        let before: Vec<u64> = others.iter().map(|(_, other)| other.packets()).collect::<Result<_>>()?;
        let report = udp(lab.endpoint("a"), lab.endpoint("b")).packets(5000).run()?;
        assert_eq!(report.received.packets, 5000, "{attach}");
        let seen: Vec<u64> = others.iter().map(|(_, other)| other.packets()).collect::<Result<_>>()?;
        let seen: Vec<u64> = seen.iter().zip(&before).map(|(now, before)| now - before).collect();
        // From a in, to b out, twice: before ours and behind.
        assert_eq!(seen, [5000, 0, 0, 5000, 5000, 0, 0, 5000], "{attach}");
        let held = Objects::of(eyepiece.process.pid())?;
        let names: Vec<String> =
            held.programs.iter().map(|&id| Info::of(id).map(|info| info.name)).collect::<Result<_>>()?;
        assert!(names.len() >= 7 && names.iter().all(|name| name.starts_with("eyepiece_")), "{names:?}");
        assert!(held.maps.len() >= 10, "{held:?}");
        let (ours, foreign) = filters(lab.node())?;
        assert_eq!(
            (ours.len(), foreign.len()),
            if attach == "clsact" { (4, 8) } else { (0, 0) },
            "{ours:?} {foreign:?}"
        );

        assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        assert_gone(&held);
        let (ours, after) = filters(lab.node())?;
        assert_eq!((ours.len(), after), (0, foreign), "{attach}");
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(10).run()?;
        assert!(
            others
                .iter()
                .zip(&before)
                .all(|((_, other), before)| { other.packets().is_ok_and(|now| matches!(now - before, 0 | 5010)) })
        );
    }
    Ok(())
}

#[test]
fn kill_leaves_nothing_after_restart() -> Result<()> {
    for (attach, next) in [("tcx", "tcx"), ("clsact", "clsact"), ("clsact", "tcx")] {
        let lab = lab()?;
        let mut eyepiece = Eyepiece::start(lab.node(), &config(attach))?;
        let others = if attach == "clsact" { foreign(lab.node(), attach, Order::First)? } else { Vec::new() };
        let held = Objects::of(eyepiece.process.pid())?;
        eyepiece.kill()?;
        let (left, foreign) = filters(lab.node())?;
        assert_eq!((left.len(), foreign.len()), if attach == "clsact" { (4, 4) } else { (0, 0) }, "{left:?}");
        if attach == "tcx" {
            assert_gone(&held);
        }

        let mut eyepiece = Eyepiece::start(lab.node(), &config(next))?;
        let (ours, still) = filters(lab.node())?;
        assert_eq!((ours.len(), still), (if next == "clsact" { 4 } else { 0 }, foreign.clone()), "{attach} {next}");
        assert_gone(&held);
        let held = Objects::of(eyepiece.process.pid())?;
        assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        assert_gone(&held);
        let (ours, still) = filters(lab.node())?;
        assert_eq!((ours.len(), still), (0, foreign), "{attach} {next}");
        drop(others);
    }
    Ok(())
}

#[test]
fn own_qdisc_is_removed_if_unused() -> Result<()> {
    // ve-a had one before, on ve-b another program uses ours, ve-c is ours alone.
    let mut lab = lab()?;
    lab.add_endpoint("c")?;
    lab.node().exec("tc qdisc add dev ve-a clsact")?;
    let mut eyepiece = Eyepiece::start(lab.node(), &config("clsact"))?;
    assert_eq!(qdiscs(lab.node())?.len(), 3);
    let other = Counting::clsact(lab.node(), "ve-b", Side::Ingress, 9, 9)?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let left = qdiscs(lab.node())?;
    let on = |device: &str| left.iter().any(|line| line.contains(&format!("dev {device} ")));
    assert_eq!((on("ve-a"), on("ve-b"), on("ve-c")), (true, true, false), "{left:?}");
    drop(other);
    Ok(())
}

#[test]
fn debug_off_loads_no_debug_code() -> Result<()> {
    let lab = lab()?;
    let mut lengths = Vec::new();
    for debug in [false, true] {
        let text =
            config("auto").replace("[datapath]", &format!("[datapath]\naggregation = \"none\"\ndebug = {debug}"));
        let mut eyepiece = Eyepiece::start(lab.node(), &text)?;
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(50).run()?;
        let held = Objects::of(eyepiece.process.pid())?;
        let programs: Vec<Info> = held.programs.iter().map(|&id| Info::of(id)).collect::<Result<_>>()?;
        let traffic: Vec<&Info> =
            programs.iter().filter(|info| info.name.contains("_from_") || info.name.contains("_to_")).collect();
        assert_eq!(traffic.len(), 6, "{programs:?}");
        for info in &traffic {
            let of = |file: &str| info.files.iter().any(|path| path.ends_with(file));
            // The kernel knows which source file each instruction comes from.
            assert!(of("traffic.rs") && of("connection.rs"), "{info:?}");
            assert_eq!(of("debug.rs"), debug, "{info:?}");
        }
        lengths.push(traffic.iter().map(|info| info.length).max());
        let messages = || eyepiece.number("eyepiece.events.decoded", &[("eyepiece.event.kind", "debug")]);
        if debug {
            let count = eventually(FREED, "debug messages", || messages().ok().filter(|&count| count >= 50))
                .map_err(|error| error.context(format!("{:#}", eyepiece.status().unwrap())))?;
            ensure!(count >= 50);
        } else {
            assert!(
                eventually(FREED, "events", || {
                    eyepiece.number("eyepiece.events.received", &[]).ok().filter(|&count| count > 0)
                })
                .is_ok()
            );
            assert_eq!(messages()?, 0);
        }
        assert_eq!(eyepiece.stop()?, 0);
    }
    println!("bytes of the longest traffic program, without debug and with: {lengths:?}");
    assert!(lengths[0] < lengths[1], "{lengths:?}");
    Ok(())
}

#[test]
fn unseen_packets_are_counted_once() -> Result<()> {
    let lab = lab()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    // The place of our filter is taken, so that only one of the two hooks can be attached.
    lab.node().exec("tc qdisc add dev ve-a clsact")?;
    let (priority, handle) = (1, 0x65_7965);
    let taken = Counting::clsact(lab.node(), "ve-a", Side::Ingress, priority, handle)?;
    udp(a, b).packets(300).run()?;
    udp(b, a).packets(200).run()?;
    let eyepiece = Eyepiece::start(lab.node(), &config("clsact"))?;
    let attached = |device: &str| -> Result<usize> {
        Ok(eyepiece.hooks()?.iter().filter(|hook| hook.interface == device && hook.attached).count())
    };
    let unseen = |device: &str| -> Result<Vec<u64>> {
        let of = |metric, direction| {
            eyepiece.number(metric, &[("network.interface.name", device), ("network.io.direction", direction)])
        };
        let metrics = ["eyepiece.datapath.unseen.packets", "eyepiece.datapath.unseen.bytes"];
        metrics.into_iter().flat_map(|metric| [of(metric, "receive"), of(metric, "transmit")]).collect()
    };
    let before = unseen("ve-a")?;
    assert_eq!(attached("ve-a")?, 1);
    assert!(before[0] >= 300 && before[1] >= 200, "{before:?}");
    udp(b, a).packets(500).run()?;

    lab.node().exec(&format!("tc filter del dev ve-a ingress prio {priority} handle {handle} bpf"))?;
    drop(taken);
    lab.node().ip("link set ve-a mtu 1499")?;
    eventually(FREED, "the other hook", || attached("ve-a").is_ok_and(|count| count == 2).then_some(()))
        .map_err(|error| error.context(eyepiece.stderr()))?;
    assert_eq!(unseen("ve-a")?, before, "packets that were counted are not unseen");

    lab.node().ip_batch("link set ve-a down\nlink set ve-a name ve-new\nlink set ve-new up\n")?;
    eventually(FREED, "the new name", || attached("ve-new").is_ok_and(|count| count == 2).then_some(()))?;
    eventually(FREED, "the numbers", || unseen("ve-new").is_ok_and(|now| now == before).then_some(()))
        .map_err(|error| error.context(format!("{:?}", unseen("ve-new"))))?;
    assert_eq!(unseen("ve-a")?, [0; 4], "counted under one name");
    Ok(())
}
