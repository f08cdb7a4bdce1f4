//! Times of messages, in the formats of Hubble's command line.

use eyepiece_flow::rfc3339::civil;
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

    /// A time's text; `N/A` without one, or if it is not one of the years 1 to 9999, as protobuf's are.
    pub(super) fn text(self, time: Option<&Timestamp>) -> String {
        let (format, unit) = match self {
            Self::StampMilli => ("%b %e %H:%M:%S.%3f", 1),
            Self::YearMonthDay => ("%Y-%m-%d", 1),
            Self::YearMonthDayHour => ("%Y-%m-%dT%HZ", 1),
            Self::YearMonthDayHourMinute => ("%Y-%m-%dT%H:%MZ", 1),
            Self::Rfc3339 => ("%Y-%m-%dT%H:%M:%SZ", 1),
            Self::Rfc3339Milli => ("%Y-%m-%dT%H:%M:%S%.fZ", 1_000_000),
            Self::Rfc3339Micro => ("%Y-%m-%dT%H:%M:%S%.fZ", 1_000),
            Self::Rfc3339Nano => ("%Y-%m-%dT%H:%M:%S%.fZ", 1),
            Self::Rfc1123Z => ("%a, %d %b %Y %H:%M:%S +0000", 1),
        };
        let civil = |time: &Timestamp| {
            let nanos = u32::try_from(time.nanos).ok()?;
            civil(time.seconds, nanos - nanos % unit)
        };
        let valid = time.and_then(civil).filter(|time| time.year() >= 1);
        valid.map_or_else(|| "N/A".to_owned(), |time| time.strftime(format).to_string())
    }
}
