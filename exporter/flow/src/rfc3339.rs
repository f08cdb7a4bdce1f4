//! Times in RFC 3339's format, as Go reads and writes them.

use std::fmt::{self, Write};

use crate::agent_event::Timestamp;

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH: i64 = 719_468;

/// Parses a time such as `2024-05-06T07:08:09.337493482Z`. Returns `None` if it is not a time of the years 1 to 9999.
/// Digits of the fraction after the ninth are ignored.
pub fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let year = digits(date.next()?, 4)?;
    let month = digits(date.next()?, 2)?;
    let day = digits(date.next()?, 2)?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let mut clock = clock.splitn(3, ':');
    let hour = digits(clock.next()?, 2)?;
    let minute = digits(clock.next()?, 2)?;
    let second = digits(clock.next()?, 2)?;
    let is_valid = year >= 1
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_valid {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    // Years 1 to 9999, in UTC.
    (-62_135_596_800..=253_402_300_799).contains(&seconds).then_some(Timestamp { seconds, nanos })
}

/// Writes a time in UTC, with nine digits of a fraction or none.
///
/// # Errors
/// The writer fails.
pub fn write_rfc3339(time: Timestamp, out: &mut impl Write) -> fmt::Result {
    let clock = time.seconds.rem_euclid(86_400);
    let (year, month, day) = date(time.seconds.div_euclid(86_400));
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    match time.nanos {
        0 => out.write_char('Z'),
        nanos => write!(out, ".{nanos:09}Z"),
    }
}

/// Converts days since 1970-01-01 to year, month and day in the Gregorian calendar: the inverse of `days`.
pub const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + if month <= 2 { 1 } else { 0 }, month, day)
}

/// Parses a number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
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
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days since 1970-01-01. Years are counted from March, so that the leap day is a year's last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH
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
