//! The table of the other flags of `observe`: which flows they pick, and in which form these are printed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Hubble, eventually, hubble::Printed};
use serde_json::{Map, Value};

use super::TIMEOUT;
use super::flow::Flow;
use super::live::{Live, NODE, PORTS};

/// Flags, and what is to be so of them.
pub(crate) type Row = (&'static [&'static str], fn(&Live) -> Result<()>);

/// Flags that pick flows by number and time.
pub(crate) const SELECTORS: &[Row] = &[
    (&["--all"], |live| live.shows(&["--all"], live.flows.len(), |_, _| true)),
    (&["--last"], |live| {
        let from = live.flows.len() - 7;
        live.shows(&["--last", "7"], 7, |at, _| at >= from)?;
        let from = live.flows.len() - 20;
        live.shows(&[], 20, |at, _| at >= from)
    }),
    (&["--first"], |live| live.shows(&["--first", "5"], 5, |at, _| at < 5)),
    (&["--since"], |live| {
        let (at, time) = live.middle();
        live.shows(&["--since", &time], live.flows.len() - at, |_, flow| flow.text(&["time"]) >= time)?;
        live.shows(&["--since", "2h"], live.flows.len(), |_, _| true)?;
        live.shows(&["--since", "2h", "--last", "3"], live.flows.len().min(3), |at, _| at < 3)
    }),
    (&["--until"], |live| {
        let (at, time) = live.middle();
        live.shows(&["--until", &time], at + 1, |_, flow| flow.text(&["time"]) <= time)?;
        live.shows(&["--since", &time, "--until", &time], 1, |_, flow| flow.text(&["time"]) == time)?;
        live.shows(&["--until", "2h"], 0, |_, _| false)
    }),
    (&["--follow"], follow),
];

/// Flags whose values are filters as JSON. This CLI forgets them without the sub-command `flows`.
pub(crate) const RAW: &[Row] = &[
    (&["--allowlist"], |live| {
        let [udp4, _] = udp_ports();
        let filter = format!("{{\"destination_port\":[\"{udp4}\"]}}");
        live.shows(&["flows", "--all", "--allowlist", &filter], 6, |_, flow| flow.port("destination") == udp4)
    }),
    (&["--denylist"], |live| {
        let [udp4, _] = udp_ports();
        let filter = format!("{{\"destination_port\":[\"{udp4}\"]}}");
        let count = live.flows.len() - 6;
        live.shows(&["flows", "--all", "--denylist", &filter], count, |_, flow| flow.port("destination") != udp4)
    }),
    (&["--print-raw-filters"], |live| {
        let nowhere = Hubble::new("unix:///nonexistent.sock", None)?;
        let asked = ["observe", "--from-port", "80", "--not", "--protocol", "udp", "--print-raw-filters"];
        let printed = nowhere.run(&asked)?;
        let text = printed.ok()?;
        for part in ["allowlist:", "{\"source_port\":[\"80\"]}", "denylist:", "{\"protocol\":[\"udp\"]}"] {
            ensure!(text.contains(part), "no {part} in {text}");
        }
        // What it prints is what the flags of this table take.
        let plain = live.uuids(&["--all", "--protocol", "udp"])?;
        ensure!(
            !plain.is_empty() && plain == live.uuids(&["flows", "--all", "--allowlist", "{\"protocol\":[\"udp\"]}"])?
        );
        Ok(())
    }),
];

/// Flags of the form, and the rest.
pub(crate) const FORMS: &[Row] = &[
    (&["--output"], |live| {
        compact(live, &live.lines(&["-o", "compact"])?)?;
        compact(live, &live.lines(&[])?)?;
        dict(live, &live.lines(&["-o", "dict"])?)?;
        table(live, &live.lines(&["-o", "table"])?)?;
        ensure!(live.print(&["-o", "json"])?.json()? == live.flows);
        ensure!(live.print(&["-o", "jsonpb"])?.json()? == live.flows);
        Ok(())
    }),
    (&["--experimental-field-mask"], mask),
    (&["--experimental-use-default-field-masks"], |live| {
        for form in ["compact", "dict", "table"] {
            let masked = live.lines(&["-o", form, "--experimental-use-default-field-masks"])?;
            ensure!(!masked.is_empty() && masked == live.lines(&["-o", form])?, "{form}: {masked:#?}");
        }
        Ok(())
    }),
    (&["--print-node-name"], |live| {
        ensure!(live.lines(&[])?.iter().all(|line| !line.contains(NODE)));
        live.each(&live.lines(&["--print-node-name"])?, |line, _| line.contains(&format!("[{NODE}]:")))
    }),
    (&["--time-format"], |live| {
        let printed = live.lines(&["--time-format", "RFC3339Nano"])?;
        live.each(&printed, |line, flow| {
            // Go leaves out zeros at the end, protojson only three at once.
            let time = flow.text(&["time"]);
            let time = time.trim_end_matches('Z').trim_end_matches('0');
            line.starts_with(time.trim_end_matches('.'))
        })?;
        let printed = live.lines(&["--time-format", "YearMonthDay"])?;
        live.each(&printed, |line, flow| line.split(':').next() == flow.text(&["time"]).get(..10))
    }),
    (&["--ip-translation", "--numeric"], |live| {
        // No names are known here, so that all forms show addresses.
        for flags in [&["--ip-translation"][..], &["--ip-translation=false"], &["--numeric"]] {
            compact(live, &live.lines(flags)?)?;
        }
        Ok(())
    }),
    (&["--color"], |live| {
        for (when, colored) in [("always", true), ("never", false), ("auto", false)] {
            let lines = live.lines(&["--color", when])?;
            ensure!(lines.iter().all(|line| line.contains("\x1b[") == colored), "{when}: {:?}", lines.first());
        }
        Ok(())
    }),
    (&["--input-file"], |live| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("flows");
        std::fs::write(&file, &live.print(&["-o", "jsonpb"])?.stdout)?;
        let nowhere = Hubble::new("unix:///nonexistent.sock", None)?;
        let path = file.to_string_lossy();
        let again = nowhere.run(&["observe", "--all", "-o", "jsonpb", "--input-file", &path])?;
        ensure!(again.json()? == live.flows);
        Ok(())
    }),
    (&["--silent-errors"], |live| {
        // Errors of the server's own stay errors.
        let refused = ["observe", "--from-ip", "no address", "--silent-errors"];
        let printed = live.hubble.run(&refused)?;
        ensure!(printed.code == Some(1) && printed.stderr.contains("invalid IP address"), "{printed:?}");
        live.shows(&["--all", "--silent-errors"], live.flows.len(), |_, _| true)
    }),
    (&["--debug"], |live| {
        let printed = live.print(&["--debug"])?;
        ensure!(printed.stderr.contains("level=debug"), "{printed:?}");
        compact(live, &lines(printed.ok()?))
    }),
    (&["--config"], |live| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "output: jsonpb\nall: true\n")?;
        let printed = live.hubble.run(&["observe", "--all", "--config", &file.to_string_lossy()])?;
        ensure!(printed.code == Some(0) && !printed.stdout.is_empty(), "{printed:?}");
        Ok(())
    }),
];

fn udp_ports() -> [String; 2] {
    PORTS.map(|(_, _, port)| port.to_string())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

impl Live {
    /// Every flow, printed with some flags.
    fn print(&self, flags: &[&str]) -> Result<Printed> {
        let printed = self.hubble.run(&[&["observe", "--all"], flags].concat())?;
        ensure!(printed.code == Some(0), "{flags:?}: {printed:?}");
        Ok(printed)
    }

    fn lines(&self, flags: &[&str]) -> Result<Vec<String>> {
        Ok(lines(self.print(flags)?.ok()?))
    }

    /// The flows that some flags pick, by their ids.
    pub(crate) fn uuids(&self, flags: &[&str]) -> Result<Vec<String>> {
        let printed = self.hubble.run(&[&["observe", "-o", "jsonpb"], flags].concat())?;
        Ok(printed.json()?.iter().map(|line| Flow(line).uuid()).collect())
    }

    /// Holds what flags pick against the flows that are so, of which there are so many.
    fn shows(&self, flags: &[&str], count: usize, is: impl Fn(usize, &Flow<'_>) -> bool) -> Result<()> {
        let wanted = self.flows.iter().enumerate().filter(|&(at, line)| is(at, &Flow(line)));
        let wanted: Vec<String> = wanted.map(|(_, line)| Flow(line).uuid()).collect();
        ensure!(wanted.len() == count, "{flags:?}: {} flows are so, not {count}", wanted.len());
        let shown = self.uuids(flags)?;
        ensure!(shown == wanted, "{flags:?}: {} flows are shown, not {count}: {shown:?}", shown.len());
        Ok(())
    }

    /// A flow that differs in time from those beside it, and before which there is none that is later: its place and time.
    fn middle(&self) -> (usize, String) {
        let times: Vec<String> = self.flows.iter().map(|line| Flow(line).text(&["time"])).collect();
        let is_apart = |&at: &usize| {
            times[..at].iter().all(|time| *time < times[at]) && times[at + 1..].iter().all(|time| *time > times[at])
        };
        let at = (times.len() / 3..times.len() - 1).find(is_apart).expect("flows that are apart in time");
        (at, times[at].clone())
    }

    /// Holds each line against the flow that it is of.
    fn each(&self, lines: &[String], is: impl Fn(&str, &Flow<'_>) -> bool) -> Result<()> {
        ensure!(lines.len() == self.flows.len(), "{} lines for {} flows", lines.len(), self.flows.len());
        for (line, flow) in lines.iter().zip(&self.flows) {
            ensure!(is(line, &Flow(flow)), "{line}\nis not of\n{flow}");
        }
        Ok(())
    }
}

/// An end of a flow as the CLI prints it: `10.0.0.1:80`, `[fd00::1]:80`, or the address alone.
fn end(flow: &Flow<'_>, end: &str) -> String {
    let (ip, port) = (flow.ip(end), flow.port(end));
    match (port.is_empty(), ip.contains(':')) {
        (true, _) => ip,
        (false, true) => format!("[{ip}]:{port}"),
        (false, false) => format!("{ip}:{port}"),
    }
}

fn compact(live: &Live, lines: &[String]) -> Result<()> {
    live.each(lines, |line, flow| {
        let [source, destination] = ["source", "destination"].map(|name| end(flow, name));
        let verdict = format!(" {} (", flow.text(&["verdict"]));
        let places = [source, destination].map(|text| line.find(&format!(" {text} (")));
        // Replies are printed the other way around.
        let is_turned = flow.at(&["is_reply"]) == true;
        let in_order = matches!(places, [Some(from), Some(to)] if (from > to) == is_turned);
        in_order && line.contains(&verdict) && line.contains(&format!("({})", flow.text(&["Summary"])))
    })
}

fn dict(live: &Live, lines: &[String]) -> Result<()> {
    let blocks: Vec<&[String]> = lines.split(|line| line.starts_with("---")).collect();
    let blocks: Vec<String> = blocks.iter().map(|block| block.join("\n")).collect();
    live.each(&blocks, |block, flow| {
        let has = |key: &str, value: &str| {
            block.lines().any(|line| {
                line.trim_start()
                    .strip_prefix(key)
                    .and_then(|rest| rest.strip_prefix(": "))
                    .is_some_and(|rest| rest.starts_with(value))
            })
        };
        has("SOURCE", &end(flow, "source"))
            && has("DESTINATION", &end(flow, "destination"))
            && has("VERDICT", &flow.text(&["verdict"]))
            && has("SUMMARY", &flow.text(&["Summary"]))
    })
}

fn table(live: &Live, lines: &[String]) -> Result<()> {
    let (head, rows) = lines.split_first().context("no head")?;
    let columns: Vec<&str> = head.split_whitespace().collect();
    ensure!(columns == ["TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"], "{head}");
    live.each(rows, |row, flow| {
        let [source, destination] = ["source", "destination"].map(|name| row.find(&end(flow, name)));
        let is_in_order = matches!([source, destination], [Some(from), Some(to)] if from < to);
        is_in_order && row.contains(&flow.text(&["verdict"])) && row.trim_end().ends_with(&flow.text(&["Summary"]))
    })
}

/// The flow with what a mask's paths name, and nothing else.
fn masked(flow: &Value, paths: &[&str]) -> Value {
    let mut kept = Map::new();
    let mut heads = BTreeSet::new();
    for path in paths {
        heads.insert(path.split('.').next().unwrap_or(path));
    }
    for head in heads {
        let below: Vec<&str> = paths.iter().filter_map(|path| path.strip_prefix(head)?.strip_prefix('.')).collect();
        if let Some(value) = flow.get(head) {
            kept.insert(head.to_owned(), if below.is_empty() { value.clone() } else { masked(value, &below) });
        }
    }
    Value::Object(kept)
}

fn mask(live: &Live) -> Result<()> {
    let paths = ["time", "uuid", "verdict", "IP.source", "l4.TCP.destination_port", "l4.ICMPv4", "source.identity"];
    let list = paths.join(",");
    let shown = live.print(&["-o", "jsonpb", "--experimental-field-mask", &list])?.json()?;
    ensure!(shown.len() == live.flows.len(), "{} flows", shown.len());
    for (shown, flow) in shown.iter().zip(&live.flows) {
        let mut wanted = masked(&flow["flow"], &paths);
        // What the path leads into is there even if nothing of it is.
        if let (Some(Value::Object(l4)), true) = (wanted.get("l4"), flow["flow"]["l4"].is_object())
            && l4.is_empty()
        {
            wanted.as_object_mut().context("an object")?.remove("l4");
        }
        let mut found = shown["flow"].clone();
        if found["l4"].as_object().is_some_and(Map::is_empty) {
            found.as_object_mut().context("an object")?.remove("l4");
        }
        ensure!(found == wanted, "{found}\nis not\n{wanted}");
        ensure!(shown["time"] == flow["time"] && shown["node_name"] == flow["node_name"], "{shown}");
    }
    let refused = live.hubble.run(&["observe", "--experimental-field-mask", "no_such_field", "-o", "jsonpb"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("invalid path \"no_such_field\""), "{refused:?}");
    Ok(())
}

/// Checks that new flows are printed as they arrive, after the requested ones of the past.
fn follow(live: &Live) -> Result<()> {
    const PORT: u16 = 9999;
    let to_port = PORT.to_string();
    let asked = ["observe", "-f", "-o", "jsonpb", "--to-port", &to_port];
    let refused = live.hubble.run(&["observe", "--follow", "--first", "3"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("cannot set both --first and --follow"), "{refused:?}");
    let mut following = live.hubble.start(&asked)?;
    let mut recent = live.hubble.start(&["observe", "--follow", "--last", "3", "-o", "jsonpb"])?;
    let count = |text: String| text.lines().count();
    eventually(TIMEOUT, "the last three", || (count(recent.stdout()) == 3).then_some(()))?;
    let mut sent = 0;
    // A follower sees what comes once it has been let in, which only flows show.
    eventually(TIMEOUT, "a flow that is followed", || {
        sent += 1;
        udp(live.lab.endpoint("a"), live.lab.endpoint("b")).port(PORT).packets(1).run().ok()?;
        (count(following.stdout()) >= 2).then_some(())
    })?;
    let all = live.uuids(&["--all", "--to-port", &to_port])?;
    ensure!(all.len() >= 2 * sent, "{} flows of {sent} datagrams", all.len());
    eventually(TIMEOUT, "the newest flow", || {
        let shown = [following.stdout(), recent.stdout()];
        shown.iter().all(|text| all.last().is_some_and(|uuid| text.contains(uuid.as_str()))).then_some(())
    })?;
    let parse = |text: String| text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>();
    let (shown, tail) = (parse(following.stdout())?, parse(recent.stdout())?);
    let shown: Vec<String> = shown.iter().map(|line| Flow(line).uuid()).collect();
    ensure!(all.ends_with(&shown), "{shown:?} is not the end of {all:?}");
    let tail: Vec<String> = tail.iter().map(|line| Flow(line).uuid()).collect();
    let before: Vec<String> = live.flows.iter().map(|line| Flow(line).uuid()).collect();
    ensure!(tail[..3] == before[before.len() - 3..] && tail[3..] == all, "{tail:?}\n{all:?}");
    for process in [&mut following, &mut recent] {
        process.stop(nix::sys::signal::Signal::SIGINT, TIMEOUT)?;
    }
    Ok(())
}
