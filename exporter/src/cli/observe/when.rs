//! Parses times as Hubble's command line does: an age, a date, or a time of RFC 3339 or RFC 1123.

use eyepiece_flow::rfc3339::rfc3339;
use prost_types::Timestamp;

/// Go's units of durations, in nanoseconds; longer names first.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Parses a time; ages count back from `now`, in nanoseconds since 1970.
pub(super) fn parse(text: &str, now: i128) -> Option<Timestamp> {
    if let Some(age) = duration(text) {
        let time = now - i128::from(age);
        let seconds = i64::try_from(time.div_euclid(1_000_000_000)).ok()?;
        return Some(Timestamp { seconds, nanos: time.rem_euclid(1_000_000_000) as i32 });
    }
    let time = rfc3339(text).or_else(|| rfc3339(&completed(text)?)).or_else(|| rfc3339(&rfc1123(text)?))?;
    Some(Timestamp { seconds: time.seconds, nanos: i32::try_from(time.nanos).ok()? })
}

/// Parses a duration as Go does, such as `1h30m`, `1.5s` or `-5m`, in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(0);
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let &(_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || number.len() > 38 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // Further digits are below a nanosecond of an hour.
        let digits = &fraction[..fraction.len().min(12)];
        let part: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(factor)?)?;
        sum = sum.checked_add(part * factor / 10_i128.pow(digits.len() as u32))?;
        rest = tail;
    }
    i64::try_from(sign * sum).ok()
}

/// Completes a date, or a time without minutes or seconds, to RFC 3339.
fn completed(text: &str) -> Option<String> {
    let Some((date, time)) = text.split_once('T') else { return Some(format!("{text}T00:00:00Z")) };
    let at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(at);
    match clock.len() {
        2 => Some(format!("{date}T{clock}:00:00{zone}")),
        5 => Some(format!("{date}T{clock}:00{zone}")),
        _ => None,
    }
}

/// Converts `Mon, 02 Jan 2006 15:04:05 -0700` to RFC 3339.
fn rfc1123(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(", ")?;
    let [day, month, year, clock, zone] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    let (hours, minutes) = zone.split_at_checked(3)?;
    Some(format!("{year}-{month:02}-{day:0>2}T{clock}{hours}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::{duration, parse};

    #[test]
    fn durations_are_parsed_as_by_go() {
        for (text, expected) in [
            ("3s", Some(3_000_000_000)),
            ("1h43m", Some(6_180_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("-5m", Some(-300_000_000_000)),
            ("+1ns", Some(1)),
            ("1µs2us", Some(3_000)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1.2.3s", None),
            ("-", None),
            ("9999999h", None),
            ("2019-06-30", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_ages_dates_or_times() {
        const NOW: i128 = 1_561_989_600_000_000_000;
        let seconds = |text: &str| parse(text, NOW).map(|time| (time.seconds, time.nanos));
        for (text, expected) in [
            ("10s", 1_561_989_590),
            ("20h", 1_561_917_600),
            ("2019-06-30T18:00:00Z", 1_561_917_600),
            ("2019-06-30", 1_561_852_800),
            ("2019-06-30T18Z", 1_561_917_600),
            ("2019-06-30T18:45Z", 1_561_920_300),
            ("2019-06-30T18+02:00", 1_561_910_400),
            ("2019-06-30T18:45-02:00", 1_561_927_500),
            ("Sun, 30 Jun 2019 20:00:00 +0200", 1_561_917_600),
        ] {
            assert_eq!(seconds(text), Some((expected, 0)), "{text}");
        }
        assert_eq!(parse("1ms", NOW), Some(Timestamp { seconds: 1_561_989_599, nanos: 999_000_000 }));
        assert_eq!(seconds("2019-06-30T18:00:00.25Z"), Some((1_561_917_600, 250_000_000)));
        for text in [
            "",
            "yesterday",
            "2019-13-01",
            "2019-06-31",
            "2019-06-30T25Z",
            "2019-06-30T",
            "Sun, 30 Jun 2019",
            "T",
            "é, a b c d é",
        ] {
            assert_eq!(parse(text, NOW), None, "{text:?}");
        }
    }
}
