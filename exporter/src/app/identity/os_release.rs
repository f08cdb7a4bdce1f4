//! Reads os-release(5): the name and version of the operating system.

/// The value of a variable; `None` if it is not set, or empty.
pub(super) fn value(text: &str, name: &str) -> Option<String> {
    // The last assignment counts, as in a shell.
    let assigned = text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let value = unquoted(assigned);
    (!value.is_empty()).then_some(value)
}

/// A shell's word: in single quotes, in double quotes or in none.
fn unquoted(word: &str) -> String {
    if let Some(inner) = word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(word);
    let (mut value, mut is_escaped) = (String::new(), false);
    for c in inner.chars() {
        is_escaped = c == '\\' && !is_escaped;
        if !is_escaped {
            value.push(c);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_of_systems() {
        const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
                              VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nID=debian\n";
        const ALPINE: &str = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.1\n";
        const ARCH: &str = "NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n";
        const FEDORA: &str = "NAME='Fedora Linux'\nVERSION_ID=40\nVERSION_CODENAME=\"\"\n";
        for (row, text, name, expected) in [
            ("double quotes", DEBIAN, "NAME", Some("Debian GNU/Linux")),
            ("a number in quotes", DEBIAN, "VERSION_ID", Some("12")),
            ("no quotes", ALPINE, "VERSION_ID", Some("3.20.1")),
            ("single quotes", FEDORA, "NAME", Some("Fedora Linux")),
            ("empty", FEDORA, "VERSION_CODENAME", None),
            ("not set", ARCH, "VERSION_ID", None),
            ("a longer name", "VERSION_ID_LIKE=7\n", "VERSION_ID", None),
            ("no file", "", "NAME", None),
            ("escapes", r#"NAME="A \"B\" \$ \\ \`""#, "NAME", Some(r#"A "B" $ \ `"#)),
            ("the last one", "NAME=a\nNAME=b\n", "NAME", Some("b")),
            ("a comment", "#NAME=a\n", "NAME", None),
            ("one quote", "NAME=\"\n", "NAME", Some("\"")),
        ] {
            assert_eq!(value(text, name).as_deref(), expected, "{row}");
        }
    }
}
