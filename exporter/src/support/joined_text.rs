//! Values joined to one text, so that a number of the interner stands for all of them.

/// Behind each value: a control character that no name has.
const SEPARATOR: char = '\u{1f}';

/// Appends a value, without separators that it has.
pub fn push(out: &mut String, value: &str) {
    out.extend(value.chars().filter(|c| *c != SEPARATOR));
    out.push(SEPARATOR);
}

/// The values of a joined text, in order.
pub fn split(joined: &str) -> impl Iterator<Item = &str> {
    joined.split_terminator(SEPARATOR)
}

/// Returns whether a joined text has a value that is not empty.
pub fn has_value(joined: &str) -> bool {
    joined.contains(|c| c != SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::{has_value, push, split};

    #[test]
    fn values_are_joined_and_split() {
        for (values, expected, is_there) in
            [(&["a", "", "b\u{1f}c"][..], &["a", "", "bc"][..], true), (&["", ""], &["", ""], false), (&[], &[], false)]
        {
            let mut joined = String::new();
            values.iter().for_each(|value| push(&mut joined, value));
            assert_eq!(split(&joined).collect::<Vec<_>>(), expected);
            assert_eq!(has_value(&joined), is_there, "{values:?}");
        }
    }
}
