//! The licences of everything that is linked in: SPDX expressions against a list of what we accept.

/// Licences we accept: permissive, and compatible with the kernel programs' GPL where they are linked to them.
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "NCSA",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be met by accepted licences; `/` is the registry's older way to write OR.
pub(crate) fn accepted(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any(&mut rest);
    met == Some(true) && rest.is_empty()
}

/// `all (OR all)*`; none where it can't be read.
fn any(rest: &mut &[&str]) -> Option<bool> {
    let mut met = all(rest)?;
    while let ["OR", more @ ..] = *rest {
        *rest = more;
        met |= all(rest)?;
    }
    Some(met)
}

/// `one (AND one)*`.
fn all(rest: &mut &[&str]) -> Option<bool> {
    let mut met = one(rest)?;
    while let ["AND", more @ ..] = *rest {
        *rest = more;
        met &= one(rest)?;
    }
    Some(met)
}

/// `( any )` or a licence, with its exception.
fn one(rest: &mut &[&str]) -> Option<bool> {
    match **rest {
        ["(", ref more @ ..] => {
            *rest = more;
            let met = any(rest)?;
            let [")", more @ ..] = *rest else { return None };
            *rest = more;
            Some(met)
        }
        [licence, "WITH", exception, ref more @ ..] => {
            *rest = more;
            Some(ACCEPTED.contains(&format!("{licence} WITH {exception}").as_str()))
        }
        [licence, ref more @ ..] => {
            *rest = more;
            Some(ACCEPTED.contains(&licence))
        }
        [] => None,
    }
}

/// The packages of a `cargo metadata` answer whose licence is not accepted, as `name version: licence`.
///
/// # Errors
/// What is not as `cargo metadata` writes it.
pub(crate) fn refused(metadata: &str) -> Result<Vec<String>, String> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
    // Of the packages, those that are built on this platform; all are listed.
    let nodes = metadata["resolve"]["nodes"].as_array().ok_or("no resolve.nodes")?;
    let built: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    if built.is_empty() || packages.is_empty() {
        return Err("no packages".to_owned());
    }
    let built = packages.iter().filter(|package| package["id"].as_str().is_some_and(|id| built.contains(&id)));
    let refused = built.filter(|package| !package["license"].as_str().is_some_and(accepted));
    let say = |package: &serde_json::Value| {
        format!(
            "{} {}: {}",
            package["name"].as_str().unwrap_or("?"),
            package["version"].as_str().unwrap_or("?"),
            package["license"].as_str().unwrap_or("no licence")
        )
    };
    Ok(refused.map(say).collect())
}

#[test]
fn expressions_are_read_as_spdx() {
    let table = [
        ("MIT", true),
        ("MIT OR Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", true),
        ("MIT OR GPL-3.0-only AND SSPL-1.0", true),
        ("(MIT OR GPL-3.0-only) AND SSPL-1.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0-only WITH Linux-syscall-note", false),
        ("MIT WITH LLVM-exception", false),
        ("", false),
        ("MIT OR", false),
        ("(MIT", false),
        ("MIT Apache-2.0", false),
    ];
    for (expression, expected) in table {
        assert_eq!(accepted(expression), expected, "{expression:?}");
    }
}

#[test]
fn a_package_without_an_accepted_licence_is_named() {
    let answer = r#"{"packages": [
        {"id": "a", "name": "good", "version": "1.0.0", "license": "MIT"},
        {"id": "b", "name": "bad", "version": "2.0.0", "license": "SSPL-1.0"},
        {"id": "c", "name": "none", "version": "3.0.0", "license": null},
        {"id": "d", "name": "elsewhere", "version": "4.0.0", "license": "SSPL-1.0"}],
        "resolve": {"nodes": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}}"#;
    assert_eq!(refused(answer), Ok(vec!["bad 2.0.0: SSPL-1.0".to_owned(), "none 3.0.0: no licence".to_owned()]));
    assert!(refused(r#"{"packages": [], "resolve": {"nodes": []}}"#).is_err());
    assert!(refused("{}").is_err());
}
