//! The bounds of the patterns that the server compiles and holds for one request.

/// Patterns of a request; the entries of a field together are one.
pub(super) const MAX_PATTERNS: usize = 64;
/// Bytes of all compiled patterns of a request with their caches: what its connection may hold.
const MAX_BYTES: usize = 8 << 20;
/// Wide classes of a request: each of them costs up to some milliseconds to compile, however short its text is.
pub(super) const MAX_WIDE_CLASSES: usize = 128;

/// The remaining budget of one request.
#[derive(Debug)]
pub(super) struct PatternBudget {
    patterns: usize,
    bytes: usize,
    wide_classes: usize,
}

impl Default for PatternBudget {
    fn default() -> Self {
        Self { patterns: MAX_PATTERNS, bytes: MAX_BYTES, wide_classes: MAX_WIDE_CLASSES }
    }
}

impl PatternBudget {
    /// Bytes that the compiled patterns hold.
    pub(super) const fn used_bytes(&self) -> usize {
        MAX_BYTES - self.bytes
    }

    pub(super) const fn left_bytes(&self) -> usize {
        self.bytes
    }

    /// Charges a pattern that is about to be compiled.
    pub(super) fn take_pattern(&mut self) -> Result<(), String> {
        let left = self.patterns.checked_sub(1);
        self.patterns = left.ok_or_else(|| format!("more than {MAX_PATTERNS} fields with patterns in one request"))?;
        Ok(())
    }

    /// Charges a class that is costly to compile: a Unicode property, or a range of many characters.
    pub(super) fn take_wide_class(&mut self) -> Result<(), String> {
        let left = self.wide_classes.checked_sub(1);
        let error = || format!("more than {MAX_WIDE_CLASSES} Unicode classes in the patterns of one request");
        self.wide_classes = left.ok_or_else(error)?;
        Ok(())
    }

    /// Charges a compiled pattern.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| format!("more than {MAX_BYTES} bytes of compiled patterns in one request"))?;
        Ok(())
    }
}
