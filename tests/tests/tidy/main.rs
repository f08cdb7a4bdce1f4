//! The tidy check: what ARCHITECTURE.md promises about the tree, checked file by file. Needs no privilege.

mod licences;
mod rules;
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rules::{Finding, RULES};
use crate::source::Source;

/// Not ours: build products, findings of the fuzzer; nor is what starts with a dot, but for `.ci`.
const NOT_OURS: &[&str] = &["target", "artifacts", "node_modules"];

/// Texts that belong to one machine; split, so that this file passes.
const OF_ONE_MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/tm", "p/w/"), concat!("/tm", "p/t/")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the tree").to_owned()
}

/// Every text file of the tree, as (path relative to the root, text). Files that are not UTF-8 are left out.
fn files() -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the tree") {
            let entry = entry.expect("an entry of a folder");
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type().expect("an entry's type");
            if NOT_OURS.contains(&name.as_str()) || name.starts_with('.') && name != ".ci" {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).expect("it lies in the tree").to_string_lossy().into_owned();
                found.push((path, text));
            }
        }
    }
    assert!(
        found.iter().any(|(path, _)| path == "exporter/src/lib.rs"),
        "the tree was not found at {}",
        root.display()
    );
    found.sort();
    found
}

fn tell(found: &[Finding]) {
    let lines: Vec<_> = found.iter().map(|of| format!("{}:{}: {}", of.path, of.line, of.message)).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// Checks the whole tree by one rule.
fn check(name: &str) {
    let (_, rule) = RULES.iter().find(|(known, _)| *known == name).expect("a rule of that name");
    let files = files();
    let rust = files.iter().filter(|(path, _)| path.ends_with(".rs"));
    let found: Vec<_> = rust.flat_map(|(path, text)| rule(&Source::new(path, text))).collect();
    tell(&found);
}

/// A test for each rule, so that a run names the rule that is broken; and one that none is forgotten.
macro_rules! checks {
    ($($test:ident => $rule:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            check($rule);
        })+

        #[test]
        fn every_rule_is_checked() {
            let checked = [$($rule),+];
            let known: Vec<_> = RULES.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, checked);
        }
    };
}

checks! {
    every_file_says_its_job => "first line",
    logic_is_short => "length",
    only_the_datapath_knows_aya => "aya",
    pure_modules_have_no_clock_and_no_io => "purity",
    only_the_settings_know_figment => "figment",
    only_semconv_spells_the_schema => "schema names",
    front_ends_do_not_know_each_other => "front ends",
    nothing_is_unfinished => "unfinished",
    lints_are_allowed_with_a_reason => "allow with reason",
}

/// Lines of a text that name what belongs to one machine.
fn of_one_machine(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate().filter(|(_, line)| OF_ONE_MACHINE.iter().any(|word| line.contains(word)));
    let say = |line| Finding { path: path.to_owned(), line, message: "a path of one machine".to_owned() };
    lines.map(|(line, _)| say(line + 1)).collect()
}

#[test]
fn no_path_of_one_machine() {
    let bad = format!("fine\nsee {}x\n", OF_ONE_MACHINE[0]);
    assert_eq!(of_one_machine("a.md", &bad).len(), 1);
    assert_eq!(of_one_machine("a.md", "/tmp/what, ./work, /works/").len(), 0);
    let found: Vec<_> = files().iter().flat_map(|(path, text)| of_one_machine(path, text)).collect();
    tell(&found);
}

/// Names of the schema's metrics that no code of the exporter uses.
fn unused_metrics<'a>(schema: &'a str, code: &[&str]) -> Vec<&'a str> {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let used = |name: &str| {
        let whole =
            |text: &str| text.split(&format!("metric::{name}")).skip(1).any(|rest| !rest.starts_with(of_a_name));
        code.iter().any(|text| whole(text))
    };
    let metrics =
        schema.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.strip_suffix(": Metric = Metric {"));
    metrics.filter(|name| !used(name)).collect()
}

#[test]
fn every_metric_of_the_schema_is_exported() {
    let schema = "    pub const A: Metric = Metric {\n    pub const A_B: Metric = Metric {\n        A,";
    assert_eq!(unused_metrics(schema, &["metric::A.name", "&metric::A_B,"]), Vec::<&str>::new());
    assert_eq!(unused_metrics(schema, &["metric::A.name"]), ["A_B"]);
    assert_eq!(unused_metrics(schema, &["metric::A_B.name"]), ["A"]);
    let files = files();
    let text = |path: &str| files.iter().find(|(known, _)| known == path).map(|(_, text)| text.as_str());
    let code: Vec<_> =
        files.iter().filter(|(path, _)| path.starts_with("exporter/src/")).map(|(_, text)| text.as_str()).collect();
    let schema = text("semconv/src/generated.rs").expect("the schema");
    assert!(schema.matches(": Metric = Metric {").count() > 20);
    assert_eq!(unused_metrics(schema, &code), Vec::<&str>::new());
}

/// Whether a changelog has its section for what is not released yet, in which something stands.
fn has_unreleased(changelog: &str) -> bool {
    let section = changelog.split("\n## ").find(|section| section.lines().next() == Some("Unreleased"));
    section.is_some_and(|section| section.lines().any(|line| line.starts_with("- ")))
}

#[test]
fn the_changelog_tells_what_is_new() {
    let table = [
        ("# Changelog\n\n## Unreleased\n\n- New.\n", true),
        ("# Changelog\n\n## Unreleased\n\n## 0.1.0\n\n- Old.\n", false),
        ("# Changelog\n\n## 0.1.0\n\n- Old.\n", false),
        ("", false),
    ];
    for (text, expected) in table {
        assert_eq!(has_unreleased(text), expected, "{text:?}");
    }
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    assert!(has_unreleased(&changelog), "CHANGELOG.md has no `## Unreleased` with an entry");
}

/// Names of a list that are not in order, or twice.
fn out_of_order(list: &str) -> Vec<&str> {
    let lines: Vec<&str> = list.lines().collect();
    lines.windows(2).filter(|pair| pair[0] >= pair[1]).map(|pair| pair[1]).collect()
}

#[test]
fn the_list_of_tests_is_in_order() {
    assert_eq!(out_of_order("a::b\na::c\n").len(), 0);
    assert_eq!(out_of_order("a::c\na::b\na::b\n"), ["a::b", "a::b"]);
    let list = std::fs::read_to_string(root().join("tests/LISTED")).expect("tests/LISTED");
    assert_eq!(out_of_order(&list), Vec::<&str>::new(), "tests/run.sh --update-list writes it in order");
}

#[test]
fn every_licence_is_accepted() {
    let manifests = ["Cargo.toml", "ebpf/Cargo.toml", "exporter/fuzz/Cargo.toml"];
    // Where a lock file is missing cargo would make one up, and judge other versions than are built.
    let manifests =
        manifests.map(|path| root().join(path)).into_iter().filter(|path| path.with_extension("lock").is_file());
    let mut checked = 0;
    for manifest in manifests {
        let answer = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
            .arg("--manifest-path")
            .arg(&manifest)
            .output()
            .expect("cargo runs");
        let error = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "cargo metadata of {}: {error}", manifest.display());
        let refused = licences::refused(&String::from_utf8_lossy(&answer.stdout)).expect("cargo's own answer");
        assert!(
            refused.is_empty(),
            "{}: licences that tests/tidy/licences.rs does not accept: {refused:#?}",
            manifest.display()
        );
        checked += 1;
    }
    assert!(checked > 0, "no lock file in the tree");
}

/// Everything but the program would be sent to the daemon, build products of gigabytes included.
#[test]
fn image_context_holds_program_alone() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a file of the tree");
    let (ignored, dockerfile) = (read(".dockerignore"), read("docker/Dockerfile"));
    let rules: Vec<_> = ignored.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let copied = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next());
    let kept: Vec<_> = std::iter::once("*".to_owned()).chain(copied.map(|path| format!("!{path}"))).collect();
    assert_eq!(rules, kept);
}
