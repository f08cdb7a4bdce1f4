//! The flags that `hubble … --help` names, read when the test runs.

use std::collections::BTreeSet;

/// Flags of a help text by their long names (`--from-ip`), those of some groups alone, or of all for none.
///
/// A group begins with a line `Filters Flags:`, a flag's line is `  -4, --ipv4 filter[=v4]   what it does`.
pub(crate) fn flags(help: &str, groups: &[&str]) -> BTreeSet<String> {
    let (mut found, mut is_wanted) = (BTreeSet::new(), groups.is_empty());
    for line in help.lines() {
        if let Some(group) = line.strip_suffix(" Flags:") {
            is_wanted = groups.is_empty() || groups.contains(&group);
        }
        let text = line.trim_start();
        // What a flag does is set further in, and may name other flags.
        if !is_wanted || !(2..=6).contains(&(line.len() - text.len())) || !text.starts_with('-') {
            continue;
        }
        let word = text.split([' ', ',']).find(|word| word.starts_with("--"));
        found.extend(word.map(|word| word.split(['=', '\t']).next().unwrap_or(word).to_owned()));
    }
    found
}

#[test]
fn flags_are_read_by_group() {
    let help = "Filters Flags:\n      --ip filter   Show --this\n  -4, --ipv4 filter[=v4]  x\n          --deep  y\n\
                Other Flags:\n  -s, --silent-errors  z\n  -h, --help\tHelp\n";
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(flags(help, &["Filters"]), set(&["--ip", "--ipv4"]));
    assert_eq!(flags(help, &[]), set(&["--ip", "--ipv4", "--silent-errors", "--help"]));
}
