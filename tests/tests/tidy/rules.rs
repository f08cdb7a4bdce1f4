//! The rules for a single Rust file: what ARCHITECTURE.md promises and a machine can check.

use crate::source::{Kind, Path, Source, module};

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A rule for a file.
pub(crate) type Rule = fn(&Source<'_>) -> Vec<Finding>;

/// The longest that a file with logic may be, in lines; what is longer does two jobs.
const MAX_LINES: usize = 500;

/// Files that may be longer, each with why.
const LONG: &[(&str, &str)] = &[
    ("config/src/keys.rs", "the table of all keys with their texts"),
    ("exporter/src/parser/names.rs", "the tables of Cilium's numbers and names"),
    ("exporter/src/proto/flow.rs", "generated from proto/flow"),
    ("exporter/src/proto/observer.rs", "generated from proto/observer"),
    ("exporter/src/proto/recorder.rs", "generated from proto/recorder"),
    ("semconv/src/generated.rs", "generated from the registry: one entry per name"),
];

/// Where aya may be named, each with why.
const KNOW_AYA: &[(&str, &str)] = &[
    ("ebpf/", "the kernel programs are written with aya-ebpf"),
    ("exporter/src/source/datapath", "the loader"),
    ("exporter/build.rs", "builds the object that the loader loads"),
    ("exporter/benches/", "runs the kernel programs one by one"),
];

/// Modules that only turn values into values: no clock, no IO, no runtime.
const PURE: &[&str] = &["agent_event", "debug_event", "event", "flow", "gob", "l7", "observed", "parser", "release"];

/// What pure modules may not name: a path that begins so.
const IMPURE: &[&str] = &[
    "tokio",
    "std::env",
    "std::fs",
    "std::io",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "tracing",
    "libc",
    "nix",
];

/// Modules that speak to the outside; they get channels from `app`, and know neither each other nor a source.
const FRONT_ENDS: &[&str] = &["admin", "monitor", "observer", "otlp", "prometheus", "recorder"];

/// Modules that may know every front end: they put the program together. The empty name is `main.rs` and `lib.rs`.
const WIRING: &[&str] = &["", "app", "cli", "demo"];

/// Who else may know a front end, each with why.
const MAY_KNOW: &[(&str, &str, &str)] = &[
    ("pipeline", "monitor", "the pipeline is a consumer of the monitor agent"),
    ("source", "monitor", "sources feed the monitor agent; the Cilium source reads its wire format"),
    ("source", "observer", "the Hubble source reads the messages that the observer writes"),
];

/// How the schema's names begin that nobody but `semconv` may spell out.
const SCHEMA_PREFIXES: &[&str] = &[
    "client.",
    "container.",
    "destination.",
    "error.type",
    "eyepiece.",
    "host.",
    "hubble.",
    "k8s.",
    "log.record.",
    "network.",
    "os.",
    "otel.",
    "server.",
    "service.",
    "source.",
    "telemetry.",
];

/// Texts that look like the schema's names and are keys of the configuration.
const CONFIGURATION_KEYS: &[&str] = &[
    "hubble.group",
    "hubble.listen",
    "hubble.peers",
    "hubble.ring",
    "hubble.tls",
    "log.format",
    "log.level",
    "source.kind",
];

/// Every rule, by name.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("first line", first_line),
    ("length", length),
    ("aya", knows_aya),
    ("purity", purity),
    ("figment", knows_figment),
    ("schema names", schema_names),
    ("front ends", front_ends),
    ("unfinished", unfinished),
    ("allow with reason", allow_with_reason),
];

fn finding(source: &Source<'_>, line: usize, message: String) -> Finding {
    Finding { path: source.path.to_owned(), line, message }
}

/// Every file says its one job in its first line.
fn first_line(source: &Source<'_>) -> Vec<Finding> {
    let first = source.text.lines().next().unwrap_or_default();
    if first.strip_prefix("//! ").is_some_and(|job| !job.trim().is_empty()) {
        return Vec::new();
    }
    vec![finding(source, 1, "the first line must be `//! ` and the file's one job".to_owned())]
}

/// Files of logic stay short.
fn length(source: &Source<'_>) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if lines <= MAX_LINES || LONG.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    vec![finding(source, lines, format!("{lines} lines; logic has at most {MAX_LINES}, a table is listed in LONG"))]
}

/// Only the loader and the kernel programs know aya.
fn knows_aya(source: &Source<'_>) -> Vec<Finding> {
    if KNOW_AYA.iter().any(|(path, _)| source.path.starts_with(path)) {
        return Vec::new();
    }
    let names = |text: &str| text == "aya" || text.starts_with("aya_");
    let words = source.code.iter().filter(|token| token.kind == Kind::Word && names(token.text));
    words.map(|token| finding(source, token.line, "only source/datapath and ebpf know aya".to_owned())).collect()
}

/// Event, flow, gob and parser have no runtime, no clock and no IO.
fn purity(source: &Source<'_>) -> Vec<Finding> {
    if !in_modules(source, PURE) {
        return Vec::new();
    }
    let impure = |path: &Path<'_>| {
        let name = path.words.join("::");
        IMPURE
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    };
    let paths = source.paths().into_iter().filter(|path| !path.test && impure(path));
    paths
        .map(|path| finding(source, path.line, format!("{} has no place in a pure module", path.words.join("::"))))
        .collect()
}

/// Only the settings know how they are read.
fn knows_figment(source: &Source<'_>) -> Vec<Finding> {
    if source.path.starts_with("config/") {
        return Vec::new();
    }
    let words = source.code.iter().filter(|token| token.kind == Kind::Word && token.text == "figment");
    words.map(|token| finding(source, token.line, "only config knows figment".to_owned())).collect()
}

/// Names of attributes and metrics are spelled out in semconv alone, so that a change of the conventions is one change.
fn schema_names(source: &Source<'_>) -> Vec<Finding> {
    if source.path.starts_with("semconv/") || source.path.starts_with("config/") {
        return Vec::new();
    }
    let name_like = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._0123456789".contains(&byte));
    let is_name = |text: &str| {
        name_like(text)
            && !text.ends_with('.')
            && SCHEMA_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            && !CONFIGURATION_KEYS.iter().any(|key| text.starts_with(key))
    };
    let texts = source.code.iter().filter(|token| token.kind == Kind::Text && !token.test && is_name(token.text));
    texts
        .map(|token| finding(source, token.line, format!("\"{}\" belongs to semconv: use its constant", token.text)))
        .collect()
}

/// Front ends know neither each other nor a source, and only the wiring knows front ends.
fn front_ends(source: &Source<'_>) -> Vec<Finding> {
    if !source.path.starts_with("exporter/src/") {
        return Vec::new();
    }
    let own = module(source.path).first().copied().unwrap_or_default();
    if WIRING.contains(&own) {
        return Vec::new();
    }
    let is_front_end = FRONT_ENDS.contains(&own);
    let refused = |path: &Path<'_>| {
        let [first, other, ..] = path.words[..] else { return false };
        let may = MAY_KNOW.iter().any(|&(who, whom, _)| (who, whom) == (own, other));
        matches!(first, "crate" | "eyepiece")
            && other != own
            && !may
            && (FRONT_ENDS.contains(&other) || is_front_end && other == "source")
    };
    let paths = source.paths().into_iter().filter(|path| !path.test && refused(path));
    let say = |path: Path<'_>| {
        finding(source, path.line, format!("{own} may not know {}: app hands it channels", path.words[1]))
    };
    paths.map(say).collect()
}

/// Nothing unfinished, and no test that is left out.
fn unfinished(source: &Source<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pair in source.code.windows(2) {
        let [token, next] = pair else { continue };
        let unfinished = token.kind == Kind::Word && matches!(token.text, "todo" | "unimplemented") && next.text == "!";
        let ignored = token.text == "[" && next.kind == Kind::Word && next.text == "ignore";
        if unfinished || ignored {
            found.push(finding(source, next.line, "nothing unfinished, no ignored test".to_owned()));
        }
    }
    let late =
        source.comments.iter().filter(|token| ["TODO", "FIXME", "XXX"].iter().any(|word| token.text.contains(word)));
    found.extend(late.map(|token| finding(source, token.line, "a note of something unfinished".to_owned())));
    found
}

/// A lint is switched off only with a reason.
fn allow_with_reason(source: &Source<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, window) in source.code.windows(3).enumerate() {
        let [before, word, after] = window else { continue };
        let attribute = before.kind == Kind::Mark && matches!(before.text, "[" | "," | "(") && after.text == "(";
        let lint = word.kind == Kind::Word && matches!(word.text, "allow" | "expect");
        // Within an attribute: what precedes its first word is `#[`, `#![` or `cfg_attr(…,`.
        if !(attribute && lint && in_attribute(source, at)) {
            continue;
        }
        let inside = source.code[at + 3..].iter().take_while(|token| token.text != "]");
        if !inside.into_iter().any(|token| token.kind == Kind::Word && token.text == "reason") {
            found.push(finding(source, word.line, format!("`{}` without `reason = \"…\"`", word.text)));
        }
    }
    found
}

/// Whether the token at `at` is an attribute's bracket, or stands in one.
fn in_attribute(source: &Source<'_>, at: usize) -> bool {
    let before = source.code[..=at].iter().rposition(|token| token.kind == Kind::Mark && token.text == "[");
    let Some(bracket) = before else { return false };
    let closed = source.code[bracket..=at].iter().any(|token| token.text == "]");
    let opened = bracket.checked_sub(1).and_then(|before| source.code.get(before));
    !closed && opened.is_some_and(|token| matches!(token.text, "#" | "!"))
}

/// Whether a file is one of these modules of the exporter.
fn in_modules(source: &Source<'_>, modules: &[&str]) -> bool {
    source.path.starts_with("exporter/src/") && module(source.path).first().is_some_and(|own| modules.contains(own))
}

/// Snippets that must be refused, and their neighbours that must not: a rule that can't fail guards nothing.
#[test]
fn every_rule_refuses_what_it_is_there_for() {
    let long = "//! Long.\n".repeat(MAX_LINES);
    let too_long = "//! Long.\n".repeat(MAX_LINES + 1);
    let table: &[(&str, &str, &str, usize)] = &[
        ("first line", "config/src/a.rs", "//! Reads a file.\n", 0),
        ("first line", "config/src/a.rs", "//!\n", 1),
        ("first line", "config/src/a.rs", "\n//! Late.\n", 1),
        ("first line", "config/src/a.rs", "", 1),
        ("length", "config/src/a.rs", &long, 0),
        ("length", "config/src/a.rs", &too_long, 1),
        ("length", "semconv/src/generated.rs", &too_long, 0),
        ("aya", "exporter/src/app.rs", "use aya::Ebpf;", 1),
        ("aya", "exporter/src/app.rs", "fn f(o: aya_obj::Object) {}", 1),
        ("aya", "exporter/src/app.rs", "// aya does it\nconst A: &str = \"aya\";", 0),
        ("aya", "exporter/src/source/datapath/load.rs", "use aya::Ebpf;", 0),
        ("aya", "ebpf/src/main.rs", "use aya_ebpf::x;", 0),
        ("purity", "exporter/src/flow/mod.rs", "use std::{net::IpAddr, time::Duration};", 0),
        ("purity", "exporter/src/flow/mod.rs", "use std::{fs, io::Read as R, time::{Duration, Instant}};", 3),
        ("purity", "exporter/src/parser/l34.rs", "fn f() { tokio::spawn(g()); std::time::SystemTime::now(); }", 2),
        ("purity", "exporter/src/gob/stream.rs", "use std::io::Read;", 1),
        ("purity", "exporter/src/parser.rs", "#[cfg(test)]\nmod tests { use std::fs; }", 0),
        ("purity", "exporter/src/app.rs", "use std::fs;", 0),
        ("figment", "exporter/src/app.rs", "use figment::Figment;", 1),
        ("figment", "config/src/lib.rs", "use figment::Figment;", 0),
        ("schema names", "exporter/src/otlp/logs.rs", "const A: &str = \"hubble.verdict\";", 1),
        ("schema names", "exporter/src/otlp/logs.rs", "const A: &str = r\"source.address\";", 1),
        ("schema names", "exporter/src/otlp/logs.rs", "// \"hubble.verdict\"\nconst A: &str = \"hubble.listen\";", 0),
        ("schema names", "exporter/src/otlp/logs.rs", "const A: &str = \"source. And a sentence\";", 0),
        ("schema names", "exporter/src/otlp/logs.rs", "#[cfg(test)]\nmod t { const A: &str = \"hubble.verdict\"; }", 0),
        ("schema names", "semconv/src/generated.rs", "const A: &str = \"hubble.verdict\";", 0),
        ("front ends", "exporter/src/otlp/grpc.rs", "use crate::observer::Ring;", 1),
        ("front ends", "exporter/src/otlp/mod.rs", "use super::{flow::Flow, source::Replay};", 1),
        ("front ends", "exporter/src/otlp.rs", "fn f() { crate::source::datapath::load() }", 1),
        ("front ends", "exporter/src/otlp/grpc.rs", "use crate::{flow::Flow, otlp::Batch}; use super::encode;", 0),
        ("front ends", "exporter/src/metrics/mod.rs", "use crate::prometheus::Page;", 1),
        ("front ends", "exporter/src/pipeline.rs", "use crate::monitor::Consumer;", 0),
        ("front ends", "exporter/src/source/replay.rs", "use crate::recorder::Sink;", 1),
        ("front ends", "exporter/src/app.rs", "use crate::{otlp, source::datapath};", 0),
        ("front ends", "exporter/src/main.rs", "use eyepiece::export::otlp;", 0),
        ("unfinished", "config/src/a.rs", "fn f() { todo!() }", 1),
        ("unfinished", "config/src/a.rs", "fn f() { unimplemented!(\"x\") }", 1),
        ("unfinished", "config/src/a.rs", "#[test]\n#[ignore]\nfn f() {}", 1),
        ("unfinished", "config/src/a.rs", "#[ignore = \"slow\"]\nfn f() {}", 1),
        ("unfinished", "config/src/a.rs", concat!("// TO", "DO: later"), 1),
        ("unfinished", "config/src/a.rs", "fn f(todo: u8, ignore: &[u8]) { g(\"todo!()\"); }", 0),
        ("allow with reason", "config/src/a.rs", "#[allow(dead_code)]\nfn f() {}", 1),
        ("allow with reason", "config/src/a.rs", "#![allow(dead_code)]", 1),
        ("allow with reason", "config/src/a.rs", "#[cfg_attr(test, expect(dead_code))]\nfn f() {}", 1),
        ("allow with reason", "config/src/a.rs", "#[allow(dead_code, reason = \"r\")]\nfn f() {}", 0),
        ("allow with reason", "config/src/a.rs", "fn f() { g([x], allow(y)); h.expect(\"z\"); }", 0),
    ];
    for (name, path, text, expected) in table {
        let (_, rule) = RULES.iter().find(|(known, _)| known == name).expect("a rule of that name");
        let found = rule(&Source::new(path, text));
        assert_eq!(found.len(), *expected, "{name}: {path}: {text}: {found:?}");
    }
    for (name, _) in RULES {
        assert!(table.iter().any(|(of, .., expected)| of == name && *expected > 0), "{name} has no case that fails");
    }
}
