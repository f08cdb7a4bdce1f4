//! Reads a file as text, up to a size.

use std::io;
use std::io::Read as _;
use std::path::Path;

/// Reads a whole file; `None` if it has more than `max` bytes.
pub fn read_text(path: &Path, max: u64) -> io::Result<Option<String>> {
    let mut text = String::new();
    let size = std::fs::File::open(path)?.take(max.saturating_add(1)).read_to_string(&mut text)?;
    Ok((size as u64 <= max).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::read_text;

    #[test]
    fn larger_file_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (size, is_read) in [(0, true), (7, true), (8, true), (9, false), (64, false)] {
            std::fs::write(file.path(), "x".repeat(size)).unwrap();
            let text = read_text(file.path(), 8).unwrap();
            assert_eq!(text.map(|text| text.len()), is_read.then_some(size), "{size}");
        }
    }
}
