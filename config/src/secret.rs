//! A text that logs, debug output and a printed configuration hide.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// The placeholder of a secret.
pub const HIDDEN: &str = "<hidden>";

/// A secret text: `Debug` and `Serialize` write [`HIDDEN`].
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for sending.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_hides_and_expose_shows() {
        let secret = Secret::new("Bearer 1234");
        assert_eq!(format!("{secret:?}"), "<hidden>");
        assert_eq!(secret.expose(), "Bearer 1234");
    }
}
