//! Times in RFC 3339's format, as Go reads and writes them.

use std::fmt::{self, Write};
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

use crate::agent_event::Timestamp;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Parses a time such as `2024-05-06T07:08:09.337493482Z`. Returns `None` if it is not a time of the years 1 to 9999.
/// Digits of the fraction after the ninth are ignored.
///
/// jiff's own parser accepts more than Go's: a space for the `T`, a leap second, a zone without a colon.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (digits(date.next()?, 4)?, digits(date.next()?, 2)?, digits(date.next()?, 2)?);
    let (clock, rest) = rest.split_at_checked(8)?;
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, second) = (digits(clock.next()?, 2)?, digits(clock.next()?, 2)?, digits(clock.next()?, 2)?);
    let date = Date::new(year, month, day).ok().filter(|_| year >= 1)?;
    let time = Time::new(hour, minute, second, 0).ok()?;
    let (nanos, zone) = fraction(rest)?;
    let seconds = date.to_datetime(time).duration_since(EPOCH).as_secs() - offset(zone)?;
    civil(seconds, nanos).filter(|time| time.year() >= 1)?;
    Some(Timestamp { seconds, nanos })
}

/// Returns the date and time in UTC of seconds since the Unix epoch and nanoseconds. `None` outside of the years -9999 to
/// 9999.
pub fn civil(seconds: i64, nanos: u32) -> Option<DateTime> {
    let nanos = i32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    EPOCH.checked_add(SignedDuration::new(seconds, nanos)).ok()
}

/// Writes a time in UTC, with nine digits of a fraction or none.
///
/// # Errors
/// The writer fails, or the time is not a valid one.
pub fn write_rfc3339(time: Timestamp, out: &mut impl Write) -> fmt::Result {
    let civil = civil(time.seconds, time.nanos).ok_or(fmt::Error)?;
    if time.nanos == 0 { write!(out, "{civil}Z") } else { write!(out, "{civil:.9}Z") }
}

/// Parses a number of exactly so many digits.
fn digits<T: FromStr>(text: &str, count: usize) -> Option<T> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Returns the nanoseconds of a fraction and the text after it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 {
        return None;
    }
    let (mut nanos, mut unit) = (0, 100_000_000);
    for digit in rest[..end.min(9)].bytes() {
        nanos += u32::from(digit - b'0') * unit;
        unit /= 10;
    }
    Some((nanos, &rest[end..]))
}

/// Returns the seconds that a zone is east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i64, i64) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::{rfc3339, write_rfc3339};

    #[test]
    fn time_survives_read_and_write() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2024-05-06T07:08:09.337493482Z",
            "2000-02-29T23:59:59Z",
            "1969-12-31T23:59:59.900000000Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1900-03-01T00:00:00Z",
        ] {
            let mut out = String::new();
            write_rfc3339(rfc3339(text).unwrap_or_else(|| panic!("{text}")), &mut out).unwrap();
            assert_eq!(out, text);
        }
    }

    #[test]
    fn valid_times_are_parsed() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2024-05-06T07:08:09.337493482Z", 1_714_979_289, 337_493_482),
            ("2024-05-06T09:08:09.5+02:00", 1_714_979_289, 500_000_000),
            ("2024-05-06T07:08:09,1234567899Z", 1_714_979_289, 123_456_789),
            ("2000-02-29T23:59:59Z", 951_868_799, 0),
            ("1969-12-31T23:59:59.9Z", -1, 900_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
        ] {
            let time = rfc3339(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((time.seconds, time.nanos), (seconds, nanos), "{text}");
        }
    }

    #[test]
    fn invalid_times_are_rejected() {
        for text in [
            "",
            "yesterday",
            "2024-05-06T07:08:09",
            "2024-05-06 07:08:09Z",
            "2024-13-06T07:08:09Z",
            "2023-02-29T07:08:09Z",
            "2024-05-06T24:08:09Z",
            "2024-05-06T07:08:60Z",
            "2024-05-06T07:08:09.Z",
            "2024-05-06T07:08:09+0200",
            "2024-05-06T07:08:09Zx",
            "2024-05-06T07:08:0é",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
