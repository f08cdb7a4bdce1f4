//! Reads a file up to a size.

use std::fs::File;
use std::io;
use std::io::{Read as _, Take};
use std::path::Path;

/// Reads a whole file; `None` if it has more than `max` bytes.
pub fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let size = open(path, max)?.read_to_end(&mut bytes)?;
    Ok((size as u64 <= max).then_some(bytes))
}

/// Reads a whole file as text; `None` if it has more than `max` bytes.
pub fn read_text(path: &Path, max: u64) -> io::Result<Option<String>> {
    let mut text = String::new();
    let size = open(path, max)?.read_to_string(&mut text)?;
    Ok((size as u64 <= max).then_some(text))
}

/// Gives one byte more than allowed, by which a larger file shows.
fn open(path: &Path, max: u64) -> io::Result<Take<File>> {
    Ok(File::open(path)?.take(max.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::{read, read_text};

    #[test]
    fn larger_file_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (size, is_read) in [(0, true), (7, true), (8, true), (9, false), (64, false)] {
            std::fs::write(file.path(), "x".repeat(size)).unwrap();
            let text = read_text(file.path(), 8).unwrap();
            assert_eq!(text.map(|text| text.len()), is_read.then_some(size), "{size}");
            let bytes = read(file.path(), 8).unwrap();
            assert_eq!(bytes.map(|bytes| bytes.len()), is_read.then_some(size), "{size}");
        }
    }
}
