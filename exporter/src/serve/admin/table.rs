//! Text of the status for people: tables, numbers and safe strings.

use std::fmt;

/// Writes a heading and its rows in columns; nothing without rows.
pub(super) fn section<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    rows: Vec<[String; N]>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| printable(&cell))).collect();
    let column = |column: usize| rows.iter().map(move |row| row[column].as_str());
    let widths: [usize; N] = std::array::from_fn(|at| column(at).map(|cell| cell.chars().count()).max().unwrap_or(0));
    // A column with any text is aligned as text.
    let are_numbers: [bool; N] = std::array::from_fn(|at| column(at).all(is_number));
    writeln!(f, "\n{heading}")?;
    for row in &rows {
        let cells = row.iter().zip(widths).zip(are_numbers).map(|((cell, width), is_number)| {
            if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Returns whether a cell has only digits and commas; an empty cell counts as a number.
fn is_number(cell: &str) -> bool {
    cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
}

/// Replaces control characters: names from the network must not control a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Formats a number and its noun: `1 uplink`, `2 uplinks`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Formats interfaces by kind: `1 endpoint, 2 uplinks`.
pub(crate) fn kinds(endpoints: u64, uplinks: u64) -> String {
    format!("{}, {}", counted(endpoints, "endpoint"), counted(uplinks, "uplink"))
}

#[cfg(test)]
mod tests {
    use super::kinds;

    #[test]
    fn interfaces_are_counted_by_kind() {
        assert_eq!(
            (kinds(0, 0), kinds(1, 2)),
            ("0 endpoints, 0 uplinks".to_owned(), "1 endpoint, 2 uplinks".to_owned())
        );
    }
}
