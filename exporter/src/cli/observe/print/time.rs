//! Times of messages, in the formats of Hubble's command line.

use eyepiece_flow::rfc3339::date;
use prost_types::Timestamp;

/// The format of a time, in UTC. Fractions are truncated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeFormat {
    /// `Jan  2 15:04:05.000`
    #[default]
    StampMilli,
    /// `2006-01-02`
    YearMonthDay,
    /// `2006-01-02T15Z`
    YearMonthDayHour,
    /// `2006-01-02T15:04Z`
    YearMonthDayHourMinute,
    /// `2006-01-02T15:04:05Z`
    Rfc3339,
    /// With milliseconds, without zeros at the end.
    Rfc3339Milli,
    /// With microseconds, without zeros at the end.
    Rfc3339Micro,
    /// With nanoseconds, without zeros at the end.
    Rfc3339Nano,
    /// `Mon, 02 Jan 2006 15:04:05 +0000`
    Rfc1123Z,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Starts at the weekday of 1970-01-01.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
/// The years 1 to 9999, in seconds since 1970: what protobuf's timestamp allows.
const VALID: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

impl TimeFormat {
    /// Names and formats.
    pub const ALL: [(&'static str, Self); 9] = [
        ("StampMilli", Self::StampMilli),
        ("YearMonthDay", Self::YearMonthDay),
        ("YearMonthDayHour", Self::YearMonthDayHour),
        ("YearMonthDayHourMinute", Self::YearMonthDayHourMinute),
        ("RFC3339", Self::Rfc3339),
        ("RFC3339Milli", Self::Rfc3339Milli),
        ("RFC3339Micro", Self::Rfc3339Micro),
        ("RFC3339Nano", Self::Rfc3339Nano),
        ("RFC1123Z", Self::Rfc1123Z),
    ];

    /// A time's text; `N/A` without one, or if it is invalid.
    pub(super) fn text(self, time: Option<&Timestamp>) -> String {
        let valid = time.filter(|time| VALID.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos));
        let Some(&Timestamp { seconds, nanos }) = valid else { return "N/A".to_owned() };
        let days = seconds.div_euclid(86_400);
        let (year, month, day) = date(days);
        let clock = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        let name = MONTHS[(month - 1).rem_euclid(12) as usize];
        let full = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        match self {
            Self::StampMilli => format!("{name} {day:>2} {hour:02}:{minute:02}:{second:02}.{:03}", nanos / 1_000_000),
            Self::YearMonthDay => format!("{year:04}-{month:02}-{day:02}"),
            Self::YearMonthDayHour => format!("{year:04}-{month:02}-{day:02}T{hour:02}Z"),
            Self::YearMonthDayHourMinute => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}Z"),
            Self::Rfc3339 => format!("{full}Z"),
            Self::Rfc3339Milli => format!("{full}{}Z", fraction(nanos / 1_000_000, 3)),
            Self::Rfc3339Micro => format!("{full}{}Z", fraction(nanos / 1000, 6)),
            Self::Rfc3339Nano => format!("{full}{}Z", fraction(nanos, 9)),
            Self::Rfc1123Z => {
                let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
                format!("{weekday}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
            }
        }
    }
}

/// A fraction without trailing zeros; empty if it is zero.
fn fraction(value: i32, digits: usize) -> String {
    match format!(".{value:0digits$}").trim_end_matches('0') {
        "." => String::new(),
        text => text.to_owned(),
    }
}
