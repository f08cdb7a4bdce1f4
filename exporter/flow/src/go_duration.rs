//! Durations in Go's format. jiff's parser has other rules: larger units first, a fraction in the last one alone.

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

/// Parses a duration as Go does, such as `1h30m`, `1.5s` or `-5m`, in nanoseconds.
pub fn parse(text: &str) -> Option<i64> {
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
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
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

#[cfg(test)]
mod tests {
    use super::parse;

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
            ("-1.5s", Some(-1_500_000_000)),
            ("1ms2us3ns", Some(1_002_003)),
            ("0.0000000000000000000000000000000000000000000000001s", Some(0)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1x", None),
            ("1.2.3s", None),
            ("-", None),
            ("9999999h", None),
            ("9999999999h", None),
            ("999999999999999999999999999999999999999999s", None),
            ("2019-06-30", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
