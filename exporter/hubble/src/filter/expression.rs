//! Regular expressions of clients: Go's syntax, in linear time, in bounded room.

mod syntax;

pub(super) use regex_automata::meta::Regex;

/// Bytes of an expression, a field's entries together, at most. An expression's syntax tree takes some hundred for each;
/// plain text of that length would be larger than [`PROGRAM_SIZE`] when it is compiled.
const LONGEST: usize = 64 << 10;
/// Bytes that one compiled expression takes at most: upstream bounds repetitions alone, at some 100 kB an expression.
const PROGRAM_SIZE: usize = 1 << 20;
/// Bytes that the matcher of an expression keeps of what it found out so far, for each thread that uses it.
const CACHE_SIZE: usize = 1 << 18;
/// Expressions of a request at most, a field's entries together being one: with [`PROGRAM_SIZE`] and [`CACHE_SIZE`] it
/// bounds what a request makes the server hold.
const MOST_EXPRESSIONS: usize = 64;

/// What is left for a request.
#[derive(Debug)]
pub(super) struct Room {
    expressions: usize,
    size: usize,
}

impl Room {
    /// Bytes of the programs that were compiled.
    pub(super) const fn size(&self) -> usize {
        self.size
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { expressions: MOST_EXPRESSIONS, size: 0 }
    }
}

/// Compiles an expression in the syntax of the crate `regex`. Its own type does not say how large one is.
pub(super) fn compile(pattern: &str, room: &mut Room) -> Result<Regex, String> {
    room.expressions = room
        .expressions
        .checked_sub(1)
        .ok_or_else(|| format!("more than {MOST_EXPRESSIONS} fields with patterns in one request"))?;
    if pattern.len() > LONGEST {
        return Err(format!("error parsing regexp: more than {LONGEST} bytes of patterns in one field"));
    }
    let config = Regex::config().nfa_size_limit(Some(PROGRAM_SIZE)).hybrid_cache_capacity(CACHE_SIZE);
    let error = match Regex::builder().configure(config).build(pattern) {
        Ok(regex) => {
            room.size += regex.memory_usage();
            return Ok(regex);
        }
        Err(error) => error,
    };
    Err(match (error.size_limit(), error.syntax_error()) {
        (Some(limit), _) => format!("error parsing regexp: more than {limit} bytes when compiled"),
        (_, Some(syntax)) => format!("error parsing regexp: {syntax}"),
        _ => format!("error parsing regexp: {error}"),
    })
}

/// One expression that matches where any of a field's entries does. Gives the entry that is none with the error.
pub(super) fn any_of<'a>(entries: &'a [String], room: &mut Room) -> Result<Regex, (&'a str, String)> {
    let mut all = String::new();
    for entry in entries {
        let translated =
            syntax::translate(entry).map_err(|why| (entry.as_str(), format!("error parsing regexp: {why}")))?;
        all.push_str(if all.is_empty() { "(?:" } else { "|(?:" });
        all.push_str(&translated);
        all.push(')');
    }
    compile(&all, room).map_err(|why| (entries.first().map_or("", String::as_str), why))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST_EXPRESSIONS, Room, any_of, compile};

    fn matches(pattern: &str, text: &str) -> bool {
        any_of(&[pattern.to_owned()], &mut Room::default()).expect(pattern).is_match(text)
    }

    #[test]
    fn matches_as_in_go() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "xax", true),
            ("A", "a", false),
            ("^a$", "a", true),
            ("^a$", "a\n", false),
            ("(?m)^a$", "b\na\n", true),
            ("a.b", "a\nb", false),
            ("(?s)a.b", "a\nb", true),
            ("(?i)STRASSE", "strasse", true),
            ("(?i)k", "\u{212a}", true),
            (r"\d", "7", true),
            (r"\d", "\u{667}", false),
            (r"\w", "é", false),
            (r"\W", "é", true),
            (r"\s", "\u{b}", false),
            (r"\s", "\u{c}", true),
            (r"\bé", "é", false),
            (r"a\b", "aé", true),
            (r"a\B", "ab", true),
            (r"[\d\-x]", "-", true),
            (r"[^\d]", "1", false),
            (r"[^\D]", "1", true),
            (r"[a&&b]", "&", true),
            (r"[a-c--]", "-", true),
            (r"[[a]", "[", true),
            (r"[]a]", "]", true),
            (r"[^]a]", "]", false),
            (r"[a-]", "-", true),
            (r"[[:alpha:]]", "b", true),
            (r"[[:^alpha:]]", "b", false),
            (r"[[:word:]]", "_", true),
            (r"\pN", "7", true),
            (r"\PN", "7", false),
            (r"\p{^N}", "7", false),
            (r"\p{Greek}", "α", true),
            (r"[\p{Greek}x]", "α", true),
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa.b", "axb", false),
            (r"\Qab\E+", "abb", true),
            (r"\x41\x{42}\103\011\0", "ABC\t\0", true),
            (r"\a\f\t\n\r\v", "\u{7}\u{c}\t\n\r\u{b}", true),
            (r"a{2}", "aa", true),
            (r"a{,2}", "a{,2}", true),
            (r"a{,2}", "aa", false),
            (r"a{x", "a{x", true),
            (r"{", "{", true),
            (r"a{2,}?b", "aaab", true),
            (r"(?P<n>a)(?<m>b)", "ab", true),
            (r"(?P<1>a)", "a", true),
            (r"(?i:a)b", "Ab", true),
            (r"(?i:a)b", "AB", false),
            (r"(?i-s)A", "a", true),
            (r"(?)a", "a", true),
            (r"(?U)a+b", "aab", true),
            (r"a||b", "", true),
            (r"()", "", true),
            (r"^*a", "a", true),
            (r"\/\_\ ", "/_ ", true),
            (r"x#y z", "x#y z", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text:?}");
        }
        let both = ["a".to_owned(), "^b|c".to_owned()];
        let both = any_of(&both, &mut Room::default()).expect("two");
        assert!(both.is_match("xa") && both.is_match("bx") && both.is_match("xc") && !both.is_match("xb"));
    }

    #[test]
    fn refuses_as_go_does() {
        for pattern in [
            "(",
            ")",
            "a)",
            "(?",
            "(?<",
            "*",
            "a**",
            "a*+",
            "a???",
            "|*",
            "(*a)",
            "a{2}{3}",
            "a{1001}",
            "a{2,1}",
            "[",
            "[a",
            "[]",
            "[^]",
            "[b-a]",
            r"[a-\d]",
            r"[\Qa]",
            r"[\b]",
            "[[:foo:]]",
            r"\",
            r"\1",
            r"\8",
            r"\C",
            r"\Z",
            r"\G",
            r"\u0041",
            r"\é",
            r"\x",
            r"\x4",
            r"\x{}",
            r"\x{110000}",
            r"\p",
            r"\p{",
            r"\p{Nope}",
            r"\pX",
            "(?x)a",
            "(?R)a",
            "(?u)a",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?P=n)",
            "(?P>n)",
            "(?P<n>a)(?P<n>b)",
            "(?P<>a)",
            "(?P<é>a)",
            "(?-)",
            "(?i-)a",
            r"\h",
            r"\R",
            r"\K",
            r"(?:a{100}){100}",
            r"\<a",
            r"\b{start}",
        ] {
            // The last two: what is no extension in Go means something else there.
            if pattern.starts_with(r"\<") || pattern.starts_with(r"\b{") {
                assert!(any_of(&[pattern.to_owned()], &mut Room::default()).is_ok(), "{pattern}");
                continue;
            }
            assert!(any_of(&[pattern.to_owned()], &mut Room::default()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn room_is_bounded() {
        let mut room = Room::default();
        for _ in 0..MOST_EXPRESSIONS {
            assert!(compile("a", &mut room).is_ok());
        }
        assert!(compile("a", &mut room).is_err());
        let large = r"\pL{1000}".to_owned();
        let error = any_of(std::slice::from_ref(&large), &mut Room::default()).expect_err("too large");
        assert!(error.1.contains("bytes when compiled"), "{error:?}");
        // The longest that is taken compiles to too much, so that the bound on length refuses nothing else.
        for (length, why) in [(LONGEST - 4, "bytes when compiled"), (LONGEST, "bytes of patterns")] {
            let text = ["a".repeat(length)];
            let error = any_of(&text, &mut Room::default()).expect_err("too long");
            assert!(error.1.contains(why), "{}", error.1);
        }
        let deep = "(".repeat(2000) + &")".repeat(2000);
        assert!(any_of(&[deep], &mut Room::default()).is_err());
    }
}
