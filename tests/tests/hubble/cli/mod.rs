//! Hubble's own command line against eyepiece: every flag of `hubble observe --help` and every sub-command, over each
//! transport, held against what was sent.

mod commands;
mod filters;
mod flags;
mod flow;
mod help;
mod live;
mod played;
mod relayed;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::{Hubble, harness, hubble, needs_peers};
use serde_json::Value;

use self::filters::{LiveValues, Row, Scene};
use self::flow::Flow;
use self::live::Live;
use self::played::Played;
use self::relayed::Relayed;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Flags for how to reach a server: those of `commands`.
const SERVER: [&str; 10] = [
    "--server",
    "--timeout",
    "--tls",
    "--tls-allow-insecure",
    "--tls-ca-cert-files",
    "--tls-client-cert-file",
    "--tls-client-key-file",
    "--tls-server-name",
    "--basic-auth-username",
    "--basic-auth-password",
];

#[test]
fn every_help_flag_has_row() {
    needs_peers!(hubble::NAME);
    let hubble = Hubble::new("unix:///nonexistent.sock", None).expect("the CLI");
    let printed = hubble.run(&["observe", "--help"]).expect("an end");
    let help = help::flags(printed.ok().expect("the help"), &[]);
    let tables = [flags::SELECTORS, flags::RAW, flags::FORMS].concat();
    let rows = filters::rows(&LiveValues::default());
    let of_rows = rows.iter().map(|row| row.flag).filter(|flag| flag.starts_with("--"));
    let known = tables.iter().flat_map(|(flags, _)| flags.iter().copied()).chain(of_rows).chain(SERVER);
    // `--not` is tried with each of the filters; the help itself was read here.
    let known: BTreeSet<String> = known.chain(["--not", "--help"]).map(str::to_owned).collect();
    assert!(help.len() > 60, "{help:?}");
    assert_eq!(help.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "these have no row");
    assert_eq!(known.difference(&help).collect::<Vec<_>>(), Vec::<&String>::new(), "these are no flags");
    let filters = help::flags(&printed.stdout, &["Filters"]);
    let of_rows: BTreeSet<String> = rows.iter().map(|row| row.flag.to_owned()).collect();
    assert!(filters.iter().all(|flag| flag == "--not" || of_rows.contains(flag)), "{filters:?}");
}

/// Each row of a table on its own, so that all that fail are named.
fn all<'a, T>(rows: impl IntoIterator<Item = (String, T)>, run: impl Fn(T) -> Result<()> + 'a) {
    let (mut count, mut failed) = (0, Vec::new());
    for (name, row) in rows {
        count += 1;
        failed.extend(run(row).err().map(|error| format!("{name}: {error:#}")));
    }
    println!("{count} rows");
    assert!(failed.is_empty(), "{} of {count} rows fail:\n\n{}", failed.len(), failed.join("\n\n"));
}

fn ids(hubble: &Hubble, arguments: &[String], before: &[&str]) -> Result<Vec<String>> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let printed = hubble.run(&[&["observe", "--all", "-o", "jsonpb"], before, &arguments].concat())?;
    Ok(printed.json()?.iter().map(|line| Flow(line).uuid()).collect())
}

/// Checks rows: positive, negative, and after `--not`.
fn check(hubble: &Hubble, flows: &[Value], row: &Row) -> Result<()> {
    let none = ids(hubble, &row.negative, &[])?;
    ensure!(none.is_empty(), "{:?} shows {} flows", row.negative, none.len());
    let positive = &row.positive;
    let (wanted, others): (Vec<&Value>, Vec<&Value>) = flows.iter().partition(|line| (row.wanted)(&Flow(line)));
    let [wanted, others] =
        [wanted, others].map(|lines| lines.into_iter().map(|line| Flow(line).uuid()).collect::<Vec<_>>());
    ensure!(!wanted.is_empty(), "{positive:?}: the scene has no such flow");
    ensure!(others.is_empty() == row.fits_all, "{positive:?}: {} other flows", others.len());
    let shown = ids(hubble, positive, &[])?;
    ensure!(shown == wanted, "{positive:?} shows {} flows of {}: {shown:?}\n{wanted:?}", shown.len(), wanted.len());
    let shown = ids(hubble, positive, &["--not"])?;
    ensure!(shown == others, "--not {positive:?} shows {} flows of {}", shown.len(), others.len());
    Ok(())
}

fn named(rows: &[flags::Row]) -> impl Iterator<Item = (String, flags::Row)> + '_ {
    rows.iter().map(|&row| (row.0.join(" "), row))
}

#[test]
fn flags_hold_on_live_traffic() {
    needs_peers!(harness::NAME, hubble::NAME);
    let live = Live::start().expect("live traffic");
    let rows = filters::rows(&live.values());
    let of_live = rows.iter().filter(|row| row.scene == Scene::Live).map(|row| (row.flag.to_owned(), row));
    all(of_live, |row| check(&live.hubble, &live.flows, row));
    // Those that add flows are the last.
    let tables = [flags::FORMS, flags::RAW, flags::SELECTORS].concat();
    all(named(&tables), |(_, run)| run(&live));
}

#[test]
fn proxy_and_policy_filters_hold() {
    needs_peers!(harness::NAME, hubble::NAME);
    let played = Played::start("played", &["]"]).expect("payloads");
    let hubble = &played.hubbles[0];
    let flows = hubble.run(&["observe", "--all", "-o", "jsonpb"]).and_then(|printed| printed.json()).expect("flows");
    let rows = filters::rows(&LiveValues::default());
    let of_played = rows.iter().filter(|row| row.scene == Scene::Played).map(|row| (row.flag.to_owned(), row));
    all(of_played, |row| {
        check(hubble, &flows, row).with_context(|| flows.iter().map(|flow| format!("{flow}\n")).collect::<String>())
    });
}

#[test]
fn name_filters_hold() {
    needs_peers!(harness::NAME, hubble::NAME);
    let mut relayed = Relayed::start().expect("flows with names");
    let rows = filters::rows(&LiveValues::default());
    let of_relayed = rows.iter().filter(|row| row.scene == Scene::Relayed).map(|row| (row.flag.to_owned(), row));
    all(of_relayed, |row| check(&relayed.hubble, &relayed.flows, row));
    relayed.check_namespaces().expect("namespaces");
}
