//! The release of Cilium that wrote a payload: decoding needs it where layouts differ without a version in the bytes.

use std::str::FromStr;

/// A release of Cilium, as far as its messages differ from those of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Release {
    /// 1.15 and before.
    V1_15,
    /// 1.16.
    V1_16,
    /// 1.17.
    V1_17,
    /// 1.18.
    V1_18,
    /// 1.19.
    V1_19,
    /// 1.20 and later.
    #[default]
    V1_20,
}

/// The producer of a source's payloads. By default an unknown one, read as the newest release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    /// Its release, or the newest if it is unknown.
    pub release: Release,
    /// The release is known, not assumed. If it is not, upserted services are recognized by their JSON, and deleted ones,
    /// whose JSON is an id alone, are unknown notifications.
    pub is_release_known: bool,
    /// Guess the layout of socket events from their content.
    pub guess_sock: bool,
}

impl From<Release> for Producer {
    fn from(release: Release) -> Self {
        Self { release, is_release_known: true, guess_sock: false }
    }
}

/// The error for a text that names no release.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid release of Cilium `{text}`: expected one such as 1.18, `guess`, or an empty text for the newest")]
pub struct UnknownRelease {
    /// The text.
    pub text: String,
}

impl FromStr for Release {
    type Err = UnknownRelease;

    /// Parses `1.18`, `v1.18.4` or `1.20.2+g0123abc`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownRelease { text: text.to_owned() };
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let mut parts = numbers.split(|c: char| !c.is_ascii_digit());
        let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
        Ok(match (number().ok_or_else(unknown)?, number().ok_or_else(unknown)?) {
            (0, _) | (1, ..=15) => Self::V1_15,
            (1, 16) => Self::V1_16,
            (1, 17) => Self::V1_17,
            (1, 18) => Self::V1_18,
            (1, 19) => Self::V1_19,
            _ => Self::V1_20,
        })
    }
}

impl FromStr for Producer {
    type Err = UnknownRelease;

    /// Parses a release. An empty text is an unknown producer; `guess` is one too, with guessed socket events.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Ok(Self::default()),
            "guess" => Ok(Self { guess_sock: true, ..Self::default() }),
            release => release.parse::<Release>().map(Self::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Producer, Release};

    #[test]
    fn producer_from_text_has_its_release() {
        for (text, release) in [
            ("1.15", Release::V1_15),
            ("1.9", Release::V1_15),
            ("v1.16.0", Release::V1_16),
            (" 1.17 ", Release::V1_17),
            ("1.18.4", Release::V1_18),
            ("1.19.0-rc.1", Release::V1_19),
            ("1.20.2+g0123abc", Release::V1_20),
            ("1.21", Release::V1_20),
            ("2.0", Release::V1_20),
        ] {
            assert_eq!(text.parse(), Ok(Producer::from(release)), "{text}");
        }
        assert_eq!("".parse(), Ok(Producer::default()));
        assert_eq!("guess".parse(), Ok(Producer { guess_sock: true, ..Producer::default() }));
        for text in ["1", "1.", "one", "v", "-1.18", "1,x", "99999999999.1"] {
            let error = text.parse::<Producer>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
