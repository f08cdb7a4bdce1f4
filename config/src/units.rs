//! Durations (`250ms`, `5s`, `1m30s`) and sizes (`64MiB`): from text, to text, and for serde.

use std::time::Duration;

/// Units of a duration, longest first so that `ms` is not read as `m`; in nanoseconds.
const TIMES: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of a size, in bytes: the binary ones, the decimal ones, and bare bytes.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Parses `5s`, `250ms`, `1m30s`, `0s`; whole numbers with a unit each, from larger to smaller units.
///
/// # Errors
/// The fault as words that follow the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty".to_owned());
    }
    let mut nanoseconds: u128 = 0;
    let mut smallest = u128::MAX;
    while !rest.is_empty() {
        let (number, unit, tail) = split_number(rest);
        let number: u128 = number.parse().map_err(|_| "does not begin with a whole number".to_owned())?;
        if unit.is_empty() {
            return Err("has no unit".to_owned());
        }
        let Some(&(_, factor)) = TIMES.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("has the unknown unit {unit:?}"));
        };
        if factor >= smallest {
            return Err("has its units out of order".to_owned());
        }
        smallest = factor;
        let part = number.checked_mul(factor).ok_or_else(|| "is too long".to_owned())?;
        nanoseconds = nanoseconds.checked_add(part).ok_or_else(|| "is too long".to_owned())?;
        rest = tail;
    }
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| "is too long".to_owned())
}

/// Parses `64MiB`, `512KiB`, `1GB`, `4096B`.
///
/// # Errors
/// The fault as words that follow the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let (number, unit, tail) = split_number(text);
    let number: u64 = number.parse().map_err(|_| "does not begin with a whole number".to_owned())?;
    if unit.is_empty() {
        return Err("has no unit".to_owned());
    }
    let known = SIZES.iter().find(|(name, _)| *name == unit).filter(|_| tail.is_empty());
    let Some(&(_, factor)) = known else {
        return Err(format!("has the unknown unit {:?}", format!("{unit}{tail}")));
    };
    number.checked_mul(factor).ok_or_else(|| "is too large".to_owned())
}

/// Digits, then what is no digit, then the rest.
fn split_number(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(letters);
    (number, unit, tail)
}

/// Formats a duration; [`parse_duration`] parses it back.
pub fn format_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = nanoseconds;
    for (unit, factor) in TIMES {
        let number = rest / factor;
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
            rest %= factor;
        }
    }
    text
}

/// Formats a duration for people: `50 s`; from two minutes on and with a fraction `2m30s`, `1s500ms`.
pub fn format_time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_nanos()) {
        (seconds @ 0..120, 0) => format!("{seconds} s"),
        _ => format_duration(time),
    }
}

/// Formats whole seconds like [`format_time`].
pub fn format_seconds(seconds: u64) -> String {
    format_time(Duration::from_secs(seconds))
}

/// Formats a size in the largest binary unit that divides it; [`parse_size`] parses it back.
pub fn format_size(bytes: u64) -> String {
    let fits = |factor: u64| bytes != 0 && bytes.is_multiple_of(factor);
    let (unit, factor) = SIZES[..4].iter().copied().find(|&(_, factor)| fits(factor)).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Durations as text, for `#[serde(with)]`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

/// Durations as text, the empty text is `None`, for `#[serde(with)]`.
pub(crate) mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.map(super::format_duration).unwrap_or_default())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        super::parse_duration(&text).map(Some).map_err(Error::custom)
    }
}

/// Sizes as text, for `#[serde(with)]`.
pub(crate) mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_size(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        super::parse_size(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

/// Values with a text form, the empty text is `None`, for `#[serde(with)]`.
pub(crate) mod optional {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.as_ref().map(ToString::to_string).unwrap_or_default())
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(Error::custom)
    }
}

/// Whole numbers, the empty text is `None`, for `#[serde(with)]`.
pub(crate) mod optional_number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(u32),
        Text(String),
    }

    pub(crate) fn serialize<S: Serializer>(value: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(number) => serializer.serialize_u32(*number),
            None => serializer.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        match Given::deserialize(deserializer)? {
            Given::Number(number) => Ok(Some(number)),
            Given::Text(text) if text.is_empty() => Ok(None),
            Given::Text(text) => text.parse().map(Some).map_err(Error::custom),
        }
    }
}

/// File names, the empty one is `None`, for `#[serde(with)]`.
pub(crate) mod path {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = value.as_ref().map(|path| path.to_string_lossy().into_owned());
        serializer.serialize_str(&text.unwrap_or_default())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Some(text).filter(|text| !text.is_empty()).map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{format_duration, format_seconds, format_size, parse_duration, parse_size};

    #[test]
    fn durations_round_trip() {
        for (text, nanoseconds) in [
            ("0s", 0),
            ("1ns", 1),
            ("250ms", 250_000_000),
            ("999ms", 999_000_000),
            ("1s", 1_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1h", 3_600_000_000_000),
            ("2d", 172_800_000_000_000),
        ] {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
            assert_eq!(format_duration(duration), text);
        }
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!(parse_duration(&format_duration(longest)), Ok(longest));
        assert_eq!(parse_duration(" 60s "), Ok(Duration::from_mins(1)));
        assert_eq!(format_duration(Duration::from_secs(60)), "1m");
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for (text, wrong) in [
            ("", "is empty"),
            ("5", "has no unit"),
            ("s", "does not begin with a whole number"),
            ("-5s", "does not begin with a whole number"),
            ("1.5s", "has the unknown unit \".\""),
            ("5 s", "has the unknown unit \" s\""),
            ("5S", "has the unknown unit \"S\""),
            ("5sec", "has the unknown unit \"sec\""),
            ("1s1m", "has its units out of order"),
            ("1s1s", "has its units out of order"),
            ("1s5", "has no unit"),
            ("18446744073709551616ns", "is too long"),
            ("999999999999999999999999999999999999999999s", "does not begin with a whole number"),
            ("340282366920938463463374607431768211455s", "is too long"),
        ] {
            assert_eq!(parse_duration(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes_round_trip() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("1023B", 1023),
            ("1KiB", 1024),
            ("1025B", 1025),
            ("64MiB", 64 << 20),
            ("3GiB", 3 << 30),
            ("1TiB", 1 << 40),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(format_size(bytes), text);
        }
        assert_eq!(parse_size("5kB"), Ok(5000));
        assert_eq!(parse_size("5MB"), Ok(5_000_000));
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        for (text, wrong) in [
            ("", "is empty"),
            ("5", "has no unit"),
            ("MiB", "does not begin with a whole number"),
            ("1.5MiB", "has the unknown unit \".5MiB\""),
            ("5mib", "has the unknown unit \"mib\""),
            ("5 MiB", "has the unknown unit \" MiB\""),
            ("1MiB1KiB", "has the unknown unit \"MiB1KiB\""),
            ("18446744073709551615KiB", "is too large"),
            ("18446744073709551616B", "does not begin with a whole number"),
        ] {
            assert_eq!(parse_size(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn times_are_short_texts() {
        for (time, text) in [(0, "0 s"), (50, "50 s"), (119, "119 s"), (120, "2m"), (3661, "1h1m1s")] {
            assert_eq!(format_seconds(time), text);
        }
    }
}
