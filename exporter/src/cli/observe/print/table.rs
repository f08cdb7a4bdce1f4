//! Aligned columns: as wide as the widest cell, and a gap.

/// Blanks between a column's widest cell and the next column.
const GAP: usize = 3;
/// Rows that are held back for the widths: as many as a node's largest ring has. After them the table continues with
/// widths of its own, which bounds memory.
const MAX_ROWS: usize = 65_536;

/// Rows that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn push(&mut self, row: Vec<String>, out: &mut String) {
        if self.rows.len() >= MAX_ROWS {
            self.write(out);
        }
        self.rows.push(row);
    }

    /// Writes the rows and clears them.
    pub(super) fn write(&mut self, out: &mut String) {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            // The last cell of a row has nothing to be aligned with.
            for (column, cell) in row.iter().take(row.len().saturating_sub(1)).enumerate() {
                let width = cell.chars().count() + GAP;
                match widths.get_mut(column) {
                    Some(known) => *known = width.max(*known),
                    None => widths.push(width),
                }
            }
        }
        for row in self.rows.drain(..) {
            for (column, cell) in row.iter().enumerate() {
                out.push_str(cell);
                if column + 1 < row.len() {
                    let width = widths.get(column).copied().unwrap_or_default();
                    out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
                }
            }
            out.push('\n');
        }
    }
}
