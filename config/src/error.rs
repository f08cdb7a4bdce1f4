//! The mistakes of a configuration, each with its key, origin and what would be right.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, or the file or variable.
    pub key: String,
    /// The origin of the value; empty for a default.
    pub origin: String,
    /// The fault.
    pub wrong: String,
    /// The expected form.
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if !self.origin.is_empty() && self.origin != self.key {
            write!(f, " (from {})", self.origin)?;
        }
        write!(f, ": {}; {}", self.wrong, self.right)
    }
}

/// Every mistake of a configuration; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The mistakes, ordered by key.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "the configuration has a mistake:")?,
            n => write!(f, "the configuration has {n} mistakes:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// The candidate nearest to a mistyped word: at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let is_near = |distance: usize| distance * 3 <= length.max(3);
    // The difference of the lengths is the least distance: a long word is compared with no short candidate.
    let near =
        |candidate: &&str| is_near(length.abs_diff(candidate.chars().count())) && is_near(distance(word, candidate));
    candidates.into_iter().filter(near).min_by_key(|candidate| distance(word, candidate))
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn nearest_ignores_distant_candidates() {
        let candidates = ["otlp.endpoint", "otlp.timeout", "log.level"];
        assert_eq!(nearest("otlp.endpont", candidates), Some("otlp.endpoint"));
        assert_eq!(nearest("otlp_endpoint", candidates), Some("otlp.endpoint"));
        assert_eq!(nearest("hubble.listen", candidates), None);
    }
}
