//! Regular expressions of clients: Go's syntax, matched in linear time, within the budget of a request.

mod syntax;

pub(super) use regex_automata::meta::Regex;

use super::pattern_budget::PatternBudget;

/// Bytes of a pattern. Its syntax tree takes some hundred bytes for each.
const MAX_PATTERN: usize = 64 << 10;
/// Bytes of the forward program of one compiled pattern. Upstream bounds repetitions alone, at some 100 kB a pattern.
const PROGRAM_SIZE: usize = 1 << 20;
/// Bytes of the states that a lazy DFA keeps.
const CACHE_SIZE: std::ops::RangeInclusive<usize> = 32 << 10..=256 << 10;
/// Bytes of [`CACHE_SIZE`] for each of a pattern: long ones have more states.
const CACHE_PER_BYTE: usize = 32;
/// Lazy DFAs of a pattern: forwards and backwards.
const LAZY_DFAS: usize = 2;

/// Compiles a pattern in the syntax of the crate `regex`.
pub(super) fn compile(pattern: &str, budget: &mut PatternBudget) -> Result<Regex, String> {
    budget.take_pattern()?;
    check_length(pattern.len())?;
    let program_size = PROGRAM_SIZE.min(budget.left_bytes());
    let cache_size = (pattern.len() * CACHE_PER_BYTE).clamp(*CACHE_SIZE.start(), *CACHE_SIZE.end());
    let config = Regex::config().nfa_size_limit(Some(program_size)).hybrid_cache_capacity(cache_size);
    let regex = Regex::builder().configure(config).build(pattern).map_err(|error| {
        let cause = match (error.size_limit(), error.syntax_error()) {
            (Some(limit), _) => format!("more than {limit} bytes when compiled"),
            (_, Some(syntax)) => syntax.to_string(),
            _ => error.to_string(),
        };
        format!("error parsing regexp: {cause}")
    })?;
    budget.take_bytes(regex.memory_usage() + regex.create_cache().memory_usage() + LAZY_DFAS * cache_size)?;
    Ok(regex)
}

fn check_length(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_PATTERN {
        return Ok(());
    }
    Err(format!("error parsing regexp: more than {MAX_PATTERN} bytes of patterns in one field"))
}

/// Compiles one pattern that matches where any of a field's entries does. An error comes with the invalid entry.
pub(super) fn any_of<'a>(entries: &'a [String], budget: &mut PatternBudget) -> Result<Regex, (&'a str, String)> {
    let mut all = String::new();
    for entry in entries {
        check_length(all.len() + entry.len()).map_err(|error| (entry.as_str(), error))?;
        let translated = syntax::translate(entry, budget)
            .map_err(|cause| (entry.as_str(), format!("error parsing regexp: {cause}")))?;
        all.push_str(if all.is_empty() { "(?:" } else { "|(?:" });
        all.push_str(&translated);
        all.push(')');
    }
    compile(&all, budget).map_err(|error| (entries.first().map_or("", String::as_str), error))
}

#[cfg(test)]
mod tests {
    use super::{MAX_PATTERN, any_of, compile};
    use crate::filter::pattern_budget::{MAX_PATTERNS, MAX_WIDE_CLASSES, PatternBudget};

    fn matches(pattern: &str, text: &str) -> bool {
        any_of(&[pattern.to_owned()], &mut PatternBudget::default()).expect(pattern).is_match(text)
    }

    #[test]
    fn pattern_matches_as_in_go() {
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
        let both = any_of(&both, &mut PatternBudget::default()).expect("two");
        assert!(both.is_match("xa") && both.is_match("bx") && both.is_match("xc") && !both.is_match("xb"));
    }

    #[test]
    fn invalid_pattern_fails_as_in_go() {
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
            // The last two are extensions of the crate `regex`; in Go they mean something else.
            if pattern.starts_with(r"\<") || pattern.starts_with(r"\b{") {
                assert!(any_of(&[pattern.to_owned()], &mut PatternBudget::default()).is_ok(), "{pattern}");
                continue;
            }
            assert!(any_of(&[pattern.to_owned()], &mut PatternBudget::default()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn pattern_beyond_its_bounds_fails() {
        let mut budget = PatternBudget::default();
        for _ in 0..MAX_PATTERNS {
            assert!(compile("a", &mut budget).is_ok());
        }
        assert!(compile("a", &mut budget).is_err());
        let large = r"\pL{1000}".to_owned();
        let error = any_of(std::slice::from_ref(&large), &mut PatternBudget::default()).expect_err("too large");
        assert!(error.1.contains("bytes when compiled"), "{error:?}");
        // The longest text that is accepted compiles to too much, so that the bound on length rejects nothing else.
        for (length, cause) in [(MAX_PATTERN - 4, "bytes when compiled"), (MAX_PATTERN + 1, "bytes of patterns")] {
            let text = ["a".repeat(length)];
            let error = any_of(&text, &mut PatternBudget::default()).expect_err("too long");
            assert!(error.1.contains(cause), "{}", error.1);
        }
        let deep = "(".repeat(2000) + &")".repeat(2000);
        assert!(any_of(&[deep], &mut PatternBudget::default()).is_err());
    }

    #[test]
    fn large_patterns_exceed_the_budget() {
        let (mut budget, mut compiled) = (PatternBudget::default(), 0);
        let pattern = [r"\pL{8}".to_owned()];
        let error = loop {
            let before = budget.used_bytes();
            match any_of(&pattern, &mut budget) {
                Ok(regex) => assert!(budget.used_bytes() - before > regex.memory_usage()),
                Err((_, error)) => break error,
            }
            compiled += 1;
        };
        assert!((2..MAX_PATTERNS / 2).contains(&compiled), "{compiled}");
        assert!(error.contains("bytes"), "{error}");
    }

    #[test]
    fn wide_classes_are_bounded() {
        for (class, cost) in
            [(r"\pL", 1), (r"[\D]", 1), (r"[\x{0}-\x{10ffff}]", 1), (r"\D", 0), ("[^/]", 0), ("[a-z]", 0)]
        {
            let mut budget = PatternBudget::default();
            let most = [format!("(?i){}", class.repeat(MAX_WIDE_CLASSES))];
            let is_ok = any_of(&most, &mut budget).is_ok_and(|_| any_of(&[class.to_owned()], &mut budget).is_ok());
            assert!(!is_ok || cost == 0, "{class}");
            let more = [class.repeat(MAX_WIDE_CLASSES + 1)];
            let error = any_of(&more, &mut PatternBudget::default()).err().map(|(_, error)| error);
            assert_eq!(error.is_some_and(|error| error.contains("Unicode classes")), cost == 1, "{class}");
        }
    }
}
