//! Reads gob's numbers and byte strings.

use super::error::{Fault, GobError};

/// A position in the bytes of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at an offset; offsets count from the start of `bytes`.
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The offset.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Number of bytes from here on.
    pub(super) const fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// An error here.
    #[cold]
    pub(super) const fn error(&self, fault: Fault) -> GobError {
        GobError { offset: self.at, fault }
    }

    /// Reads an unsigned number: one byte below 128, else the negated count of its big-endian bytes and those.
    #[inline]
    pub(super) fn uint(&mut self) -> Result<u64, GobError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 128 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            Some(&byte) => self.long_uint(byte),
            None => Err(self.error(Fault::UnexpectedEnd)),
        }
    }

    fn long_uint(&mut self, first: u8) -> Result<u64, GobError> {
        let count = usize::from(first.wrapping_neg());
        if count > 8 {
            return Err(self.error(Fault::Number { bytes: count }));
        }
        let Some(digits) = self.bytes.get(self.at + 1..self.at + 1 + count) else {
            return Err(self.error(Fault::UnexpectedEnd));
        };
        self.at += 1 + count;
        Ok(digits.iter().fold(0, |number, &digit| number << 8 | u64::from(digit)))
    }

    /// Reads a signed number: the sign is the lowest bit, a negative one is complemented.
    #[inline]
    pub(super) fn int(&mut self) -> Result<i64, GobError> {
        let number = self.uint()?;
        let half = (number >> 1).cast_signed();
        Ok(if number & 1 == 0 { half } else { !half })
    }

    /// Reads a count of values of at least `least` bytes each; as many bytes must be left.
    #[inline]
    pub(super) fn count(&mut self, least: usize) -> Result<usize, GobError> {
        let start = *self;
        let count = self.uint()?;
        match usize::try_from(count) {
            Ok(number) if number <= self.left() / least => Ok(number),
            _ => Err(start.error(Fault::Count { count, left: self.left() })),
        }
    }

    /// Reads a length and as many bytes.
    #[inline]
    pub(super) fn byte_string(&mut self) -> Result<&'a [u8], GobError> {
        let length = self.count(1)?;
        self.take(length)
    }

    /// Reads as many bytes.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], GobError> {
        let end = self.at.checked_add(length);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(self.error(Fault::UnexpectedEnd));
        };
        self.at += length;
        Ok(taken)
    }

    /// Reads a length, skips as many bytes, and returns a cursor over them with offsets from the same start.
    pub(super) fn part(&mut self) -> Result<Self, GobError> {
        let length = self.count(1)?;
        let start = self.at;
        self.take(length)?;
        Ok(Self { bytes: &self.bytes[..self.at], at: start })
    }

    /// Checks that no bytes are left.
    #[inline]
    pub(super) fn finish(&self) -> Result<(), GobError> {
        match self.left() {
            0 => Ok(()),
            bytes => Err(self.error(Fault::TrailingBytes { bytes })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_go_are_read() {
        let uint = |bytes: &[u8]| Cursor::new(bytes, 0).uint();
        assert_eq!(uint(&[0]), Ok(0));
        assert_eq!(uint(&[0x7f]), Ok(127));
        assert_eq!(uint(&[0xff, 0x80]), Ok(128));
        assert_eq!(uint(&[0xfe, 0x01, 0x2c]), Ok(300));
        assert_eq!(uint(&[0xf8, 255, 255, 255, 255, 255, 255, 255, 255]), Ok(u64::MAX));
        assert_eq!(uint(&[0xf7, 0]), Err(GobError { offset: 0, fault: Fault::Number { bytes: 9 } }));
        assert_eq!(uint(&[0x80]), Err(GobError { offset: 0, fault: Fault::Number { bytes: 128 } }));
        assert_eq!(uint(&[0xfe, 1]), Err(GobError { offset: 0, fault: Fault::UnexpectedEnd }));
        assert_eq!(uint(&[]), Err(GobError { offset: 0, fault: Fault::UnexpectedEnd }));
        let int = |bytes: &[u8]| Cursor::new(bytes, 0).int();
        assert_eq!(int(&[0x7f]), Ok(-64));
        assert_eq!(int(&[0xff, 0x80]), Ok(64));
        assert_eq!(int(&[0xf8, 255, 255, 255, 255, 255, 255, 255, 255]), Ok(i64::MIN));
    }

    #[test]
    fn implausible_counts_are_rejected() {
        assert_eq!(
            Cursor::new(&[3, 1, 2], 0).byte_string(),
            Err(GobError { offset: 0, fault: Fault::Count { count: 3, left: 2 } })
        );
        assert_eq!(Cursor::new(&[2, 1, 2], 0).byte_string(), Ok([1, 2].as_slice()));
        assert!(Cursor::new(&[2, 1, 2, 3], 0).count(2).is_err());
        assert!(Cursor::new(&[0xf8, 255, 255, 255, 255, 255, 255, 255, 255, 0], 0).byte_string().is_err());
    }
}
