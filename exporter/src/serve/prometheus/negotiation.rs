//! Chooses the format and the encoding of an answer by the request's headers (RFC 9110, 12.5).

use std::cmp::Reverse;

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName};

use crate::export::prometheus::Format;

/// The content encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// None.
    Identity,
    /// gzip.
    Gzip,
}

/// Returns the format that the client prefers. A client that accepts none gets the text format, as from Prometheus'
/// own libraries.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let ranges = ranges(headers, ACCEPT);
    let text = preference(&ranges, ["text/plain", "text/*"], "0.0.4");
    let open = preference(&ranges, ["application/openmetrics-text", "application/*"], "1.0.0");
    if open > text { Format::OpenMetrics } else { Format::Text }
}

/// Returns the encoding that the client prefers; gzip only if the client lists it.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let ranges = ranges(headers, ACCEPT_ENCODING);
    let quality = |names: &[&str]| {
        let known = ranges.iter().filter(|range| names.iter().any(|name| range.name.eq_ignore_ascii_case(name)));
        known.map(|range| range.quality).max().unwrap_or(0)
    };
    // RFC 9110, 8.4.1.3: `x-gzip` is the same.
    let (gzip, identity) = (quality(&["gzip", "x-gzip"]), quality(&["identity"]));
    if gzip > 0 && gzip >= identity { Encoding::Gzip } else { Encoding::Identity }
}

/// An element of a header: `text/plain;version=0.0.4;q=0.3`.
#[derive(Debug)]
struct Range<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// In thousandths; 0 means not acceptable.
    quality: u16,
}

/// Quality and place in the header of a format; of two, the greater one is preferred, and none is the least.
type Preference = Option<(u16, Reverse<usize>)>;

/// Returns the preference of a format by its type, else by the wildcards.
fn preference(ranges: &[Range<'_>], [exact, wildcard]: [&str; 2], version: &str) -> Preference {
    let of = |name: &str| {
        let ranges = ranges.iter().enumerate().filter(|(_, range)| {
            range.name.eq_ignore_ascii_case(name) && range.version.is_none_or(|known| known == version)
        });
        ranges.map(|(place, range)| (range.quality, Reverse(place))).max()
    };
    of(exact).or_else(|| of(wildcard)).or_else(|| of("*/*")).filter(|(quality, _)| *quality > 0)
}

/// Splits a header, which may be repeated, into its elements. No element of metrics has a comma or semicolon in quotes.
fn ranges<'a>(headers: &'a HeaderMap, name: HeaderName) -> Vec<Range<'a>> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(range).collect()
}

fn range(text: &str) -> Range<'_> {
    let mut parts = text.split(';').map(str::trim);
    let mut range = Range { name: parts.next().unwrap_or_default(), version: None, quality: 1000 };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim() {
            name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
            name if name.eq_ignore_ascii_case("q") => range.quality = quality(value),
            _ => {}
        }
    }
    range
}

/// Parses a quality into thousandths; an invalid one is not acceptable.
fn quality(text: &str) -> u16 {
    match text.parse::<f32>() {
        // A cast of a number that is not finite gives a bound or 0.
        Ok(quality) => (quality.clamp(0.0, 1.0) * 1000.0).round() as u16,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, ACCEPT_ENCODING};
    use http::{HeaderMap, HeaderName};

    use super::{Encoding, Format, encoding, format};

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn format_follows_accept() {
        use Format::{OpenMetrics, Text};
        const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (values, expected) in [
            (&[PROMETHEUS][..], OpenMetrics),
            (&[], Text),
            (&["application/vnd.google.protobuf;proto=a;q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"], Text),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Text),
            (&["*/*"], Text),
            (&["application/json"], Text),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["Application/OpenMetrics-Text; Version=1.0.0; Q=0.2, */*; q=0.1"], OpenMetrics),
            (&["application/openmetrics-text; VERSION=0.0.1"], Text),
            (&["application/openmetrics-text; version=\"1.0.0\""], OpenMetrics),
            (&["application/openmetrics-text; version=0.0.1, text/plain; q=0.1"], Text),
            (&["application/openmetrics-text; version=2.0.0, */*; q=0.1"], Text),
            (&["application/openmetrics-text; q=0, */*"], Text),
            (&["application/openmetrics-text; q=0.5, text/plain; q=0.50"], OpenMetrics),
            (&["text/plain, application/openmetrics-text"], Text),
            (&["text/plain; q=0.2, application/openmetrics-text; q=0.3"], OpenMetrics),
            (&["application/openmetrics-text, */*"], OpenMetrics),
            (&["text/plain; q=0.5", "application/openmetrics-text; q=0.6"], OpenMetrics),
            (&["text/*; q=0.9, application/*"], OpenMetrics),
            (&["text/plain; version=0.0.4; q=0.1, application/openmetrics-text; q=x"], Text),
            (&["application/openmetrics-text; q=NaN, text/plain; q=0.1"], Text),
            (&["application/openmetrics-text; q=7, text/plain; q=1"], OpenMetrics),
            (&[",;,=;q=,  ;;"], Text),
        ] {
            assert_eq!(format(&headers(&ACCEPT, values)), expected, "{values:?}");
        }
    }

    #[test]
    fn gzip_must_be_listed() {
        use Encoding::{Gzip, Identity};
        for (values, expected) in [
            (&["gzip"][..], Gzip),
            (&[], Identity),
            (&["GZIP;q=0.1"], Gzip),
            (&["x-gzip"], Gzip),
            (&["deflate, gzip, br"], Gzip),
            (&["deflate", "gzip"], Gzip),
            (&["*"], Identity),
            (&["identity"], Identity),
            (&["gzip;q=0"], Identity),
            (&["gzip;q=0.5, identity"], Identity),
            (&["gzip, identity"], Gzip),
            (&["gzip;q=0.0001"], Identity),
            (&["br"], Identity),
        ] {
            assert_eq!(encoding(&headers(&ACCEPT_ENCODING, values)), expected, "{values:?}");
        }
    }
}
