//! Parses times as Hubble's command line does: an age, a date, or a time of RFC 3339 or RFC 1123.

use eyepiece_flow::go_duration;
use eyepiece_flow::rfc3339::rfc3339;
use prost_types::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Parses a time; ages count back from `now`, in nanoseconds since 1970.
pub(super) fn parse(text: &str, now: i128) -> Option<Timestamp> {
    if let Some(age) = go_duration::parse(text) {
        let time = now - i128::from(age);
        let seconds = i64::try_from(time.div_euclid(1_000_000_000)).ok()?;
        return Some(Timestamp { seconds, nanos: time.rem_euclid(1_000_000_000) as i32 });
    }
    let time = rfc3339(text).or_else(|| rfc3339(&completed(text)?)).or_else(|| rfc3339(&rfc1123(text)?))?;
    Some(Timestamp { seconds: time.seconds, nanos: i32::try_from(time.nanos).ok()? })
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

    use super::parse;

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
