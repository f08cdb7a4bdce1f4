//! Checks one value against its key, and converts it for serde.

mod addresses;
mod value;

use std::net::SocketAddr;

use figment::value::{Dict, Value};

use self::value::{Entries, Fault, each, found, if_all_valid, is_empty, text};
use crate::handlers::{Handler, conflicts};
use crate::keys::{Key, Kind};
use crate::mode::parse_mode;
use crate::secret::HIDDEN;
use crate::units::{parse_duration, parse_size};

const DURATION: &str = "use a duration such as 250ms, 5s or 1m";
const PAIRS: &str = "use a table of texts, or a text name=value,name=value";
const HANDLERS: &str =
    "use Hubble's handlers, each once, such as [\"drop:sourceContext=pod|ip;destinationContext=dns\"]";

/// Converts a value to what serde reads into the settings.
pub(crate) fn convert(key: &Key, value: &Value) -> Entries {
    match key.kind {
        Kind::Alternatives(names) => alternatives(value, names),
        Kind::Handlers => handlers(value),
        Kind::List => list(value),
        Kind::Listens => addresses::listens(value),
        Kind::Peers => addresses::peers(value),
        Kind::Domains => addresses::domains(value),
        Kind::Hosts => addresses::hosts(value),
        Kind::Headers => map(value, header),
        Kind::Attributes => map(value, attribute),
        kind => single(kind, value).map_err(|wrong| vec![wrong]),
    }
}

/// Converts a value that has no entries.
fn single(kind: Kind, value: &Value) -> Result<Value, Fault> {
    match kind {
        Kind::Text => text(value, "use a text").map(Value::from),
        Kind::Name => not_empty(value),
        Kind::Bool => match value {
            Value::Bool(..) => Ok(value.clone()),
            _ => Err((found(value), "use true or false".to_owned())),
        },
        Kind::Integer(least, most) => integer(value, least, most),
        Kind::IntegerOrEmpty(..) if is_empty(value) => Ok(value.clone()),
        Kind::IntegerOrEmpty(least, most) => integer(value, least, most)
            .map_err(|(wrong, right)| (wrong, format!("{right}, or an empty text for no limit"))),
        Kind::Factor(most) => factor(value, most),
        Kind::ReleaseOrEmpty => release(value),
        Kind::Size(least, most) => size(value, least, most),
        Kind::Duration => duration(value, false),
        Kind::DurationOrZero => duration(value, true),
        Kind::DurationOrEmpty if is_empty(value) => Ok(value.clone()),
        Kind::DurationOrEmpty => duration(value, false),
        Kind::ChoiceOrEmpty(_) if is_empty(value) => Ok(value.clone()),
        Kind::Choice(names) | Kind::ChoiceOrEmpty(names) => choice(value, names),
        Kind::Target => addresses::target(value),
        Kind::Ring => ring(value),
        Kind::UrlOrEmpty if is_empty(value) => Ok(value.clone()),
        Kind::Url | Kind::UrlOrEmpty => url(value),
        Kind::Listen => listen(value),
        Kind::SocketPathOrEmpty if is_empty(value) => Ok(value.clone()),
        Kind::SocketPath => socket_path(value, ""),
        Kind::SocketPathOrEmpty => socket_path(value, ", or an empty text for off"),
        Kind::Mode => mode(value),
        Kind::Alternatives(_)
        | Kind::Handlers
        | Kind::List
        | Kind::Listens
        | Kind::Peers
        | Kind::Domains
        | Kind::Hosts
        | Kind::Headers
        | Kind::Attributes => Ok(value.clone()),
    }
}

/// Parses `name=value,…` with percent-encoded values, as OpenTelemetry's variables. Errors number the entries that are
/// not empty, and quote none: without its name, a secret with `=` in it looks like a name.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (position, pair) in text.split(',').filter(|pair| !pair.trim().is_empty()).enumerate() {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
            return Err(format!("entry {} has no name=value form", position + 1));
        };
        let Some(value) = percent_decode(value.trim()) else {
            return Err(format!("the value of entry {} is not percent-encoded UTF-8", position + 1));
        };
        pairs.push((name.trim().to_owned(), value));
    }
    Ok(pairs)
}

/// Decodes RFC 3986, section 2.1.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn not_empty(value: &Value) -> Result<Value, Fault> {
    let right = "use a text that is not empty";
    match text(value, right)?.trim() {
        "" => Err(("it is empty".to_owned(), right.to_owned())),
        _ => Ok(value.clone()),
    }
}

fn integer(value: &Value, least: u32, most: u32) -> Result<Value, Fault> {
    let right = format!("use a whole number from {least} to {most}");
    match whole(value) {
        None => Err((found(value), right)),
        Some(number) if number < i128::from(least) => Err((format!("{number} is too small"), right)),
        Some(number) if number > i128::from(most) => Err((format!("{number} is too large"), right)),
        Some(_) => Ok(value.clone()),
    }
}

/// A whole number; beyond an i128 the largest one.
fn whole(value: &Value) -> Option<i128> {
    let Value::Num(_, number) = value else { return None };
    number.to_i128().or_else(|| number.to_u128().map(|number| i128::try_from(number).unwrap_or(i128::MAX)))
}

/// A ring's capacity is 2^n − 1.
fn ring(value: &Value) -> Result<Value, Fault> {
    const MIN: u32 = 1;
    const MAX: u32 = 65_535;
    let right = |number: u32| format!("use {number}, or another 2^n - 1 from {MIN} to {MAX}");
    let Some(number) = whole(value) else { return Err((found(value), right(4095))) };
    // Of two that are equally near, the larger one.
    let nearest = (1..=16).map(|bits| (1_u32 << bits) - 1).rev();
    let nearest = nearest.min_by_key(|size| number.abs_diff(i128::from(*size))).unwrap_or(MAX);
    if number == i128::from(nearest) {
        Ok(value.clone())
    } else {
        Err((format!("{number} is no 2^n - 1 of these"), right(nearest)))
    }
}

/// Converts to a number with a fraction, as serde expects.
fn factor(value: &Value, most: u32) -> Result<Value, Fault> {
    let right = format!("use a number from 0 to {most}, such as 1.0");
    let number = match value {
        Value::Num(_, number) => number
            .to_f64()
            .or_else(|| number.to_i128().map(|number| number as f64))
            .or_else(|| number.to_u128().map(|number| number as f64)),
        _ => return Err((found(value), right)),
    };
    match number {
        Some(number) if (0.0..=f64::from(most)).contains(&number) => {
            Ok(Value::Num(value.tag(), figment::value::Num::F64(number)))
        }
        Some(number) => Err((format!("{number} is out of range"), right)),
        None => Err((found(value), right)),
    }
}

/// Major and minor number, and an ignored patch number: `1.18`, `1.18.4`.
fn release(value: &Value) -> Result<Value, Fault> {
    let right = "use a release such as \"1.18\", \"guess\", or an empty text for the newest";
    let text = text(value, right)?;
    let is_number = |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = text.split('.').collect();
    if text.is_empty() || text == "guess" || (matches!(parts.len(), 2 | 3) && parts.iter().all(|part| is_number(part)))
    {
        return Ok(value.clone());
    }
    Err((format!("{text:?} is no release"), right.to_owned()))
}

fn size(value: &Value, least: u64, most: u64) -> Result<Value, Fault> {
    use crate::units::format_size;
    let example = format_size((8 << 20).clamp(least, most));
    let right = format!("use a size from {} to {}, such as {example}", format_size(least), format_size(most));
    let text = text(value, &right)?;
    match parse_size(text) {
        Err(wrong) => Err((format!("{text:?} {wrong}"), right)),
        Ok(bytes) if bytes < least => Err((format!("{text:?} is too small"), right)),
        Ok(bytes) if bytes > most => Err((format!("{text:?} is too large"), right)),
        Ok(_) => Ok(value.clone()),
    }
}

fn duration(value: &Value, zero: bool) -> Result<Value, Fault> {
    let text = text(value, DURATION)?;
    match parse_duration(text) {
        Err(wrong) => Err((format!("{text:?} {wrong}"), DURATION.to_owned())),
        Ok(duration) if duration.is_zero() && !zero => {
            Err((format!("{text:?} is no time at all"), DURATION.to_owned()))
        }
        Ok(_) => Ok(value.clone()),
    }
}

fn choice(value: &Value, names: &[&str]) -> Result<Value, Fault> {
    let right = format!("use {}", names.join(", "));
    let text = text(value, &right)?;
    if names.contains(&text) { Ok(value.clone()) } else { Err((format!("{text:?} is not known"), right)) }
}

fn alternatives(value: &Value, names: &[&str]) -> Entries {
    let right = format!("use {}; several with | between them", names.join(", "));
    let text = text(value, &right).map_err(|wrong| vec![wrong])?;
    let unknown = text.split('|').filter(|name| !names.contains(name));
    if_all_valid(value.clone(), unknown.map(|name| (format!("{name:?} is not known"), right.clone())).collect())
}

/// A list of handlers, or a text; in both, white space separates them.
fn handlers(value: &Value) -> Entries {
    let items = if let Value::Array(_, items) = value { items.as_slice() } else { std::slice::from_ref(value) };
    let (mut handlers, mut wrong) = (Vec::<Handler>::new(), Vec::new());
    for item in items {
        let Some(text) = item.as_str() else {
            wrong.push(found(item));
            continue;
        };
        for line in text.split_whitespace() {
            line.parse().map_or_else(|error| wrong.push(error), |handler| handlers.push(handler));
        }
    }
    wrong.extend(conflicts(&handlers));
    let lines: Vec<String> = handlers.into_iter().map(String::from).collect();
    if_all_valid(lines.into(), wrong.into_iter().map(|wrong| (wrong, HANDLERS.to_owned())).collect())
}

fn list(value: &Value) -> Entries {
    each(value, "use a list of texts, such as [\"eth*\", \"veth?\"]", |_| Ok(()))
}

/// A table of texts; TOML nests `a.b = …`, which stands for the name `a.b`. `entry` returns the name in use by the name,
/// the value, and the words for the entry in messages.
fn map(value: &Value, entry: fn(&str, &str, &str) -> Result<String, String>) -> Entries {
    let pairs_wrong = |wrong: String| (wrong, PAIRS.to_owned());
    let mut pairs = Vec::new();
    match value {
        Value::Dict(_, table) => flatten("", table, &mut pairs).map_err(|wrong| vec![wrong])?,
        Value::String(_, text) => pairs = self::pairs(text).map_err(|wrong| vec![pairs_wrong(wrong)])?,
        _ => return Err(vec![pairs_wrong(found(value))]),
    }
    let (mut table, mut wrong) = (Dict::new(), Vec::new());
    for (position, (name, text)) in pairs.into_iter().enumerate() {
        let label = match value {
            Value::String(..) => format!("entry {}", position + 1),
            _ => format!("entry {name:?}"),
        };
        match entry(&name, &text, &label) {
            Ok(name) => drop(table.insert(name, text.into())),
            Err(why) => wrong.push(pairs_wrong(why)),
        }
    }
    if_all_valid(table.into(), wrong)
}

fn flatten(prefix: &str, table: &Dict, pairs: &mut Vec<(String, String)>) -> Result<(), Fault> {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match value {
            Value::String(_, text) => pairs.push((name, text.clone())),
            Value::Dict(_, table) => flatten(&format!("{name}."), table, pairs)?,
            _ => return Err((format!("the value of {name:?} is no text"), PAIRS.to_owned())),
        }
    }
    Ok(())
}

/// A header's name in lower case, as in HTTP/2. Its value is checked, and never shown.
fn header(name: &str, value: &str, label: &str) -> Result<String, String> {
    let parsed = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{label} has no header name"))?;
    if value == HIDDEN {
        return Err(format!("the value of {label} is the placeholder of a secret in a printed configuration"));
    }
    http::HeaderValue::from_str(value).map_err(|_| format!("the value of {label} is no header value"))?;
    Ok(parsed.as_str().to_owned())
}

fn attribute(name: &str, _value: &str, _label: &str) -> Result<String, String> {
    match name {
        "" => Err("it has an attribute without a name".to_owned()),
        "service.name" => Err("service.name has a key of its own, otlp.service_name".to_owned()),
        _ => Ok(name.to_owned()),
    }
}

fn url(value: &Value) -> Result<Value, Fault> {
    let right = "use a URL such as http://localhost:4317 or https://collector.example:4317";
    let text = text(value, right)?;
    let wrong = |wrong: String| Err((wrong, right.to_owned()));
    // User, password, query and fragment may hold a secret: such a text is not repeated.
    if text.contains('@') {
        return Err((
            "the URL holds credentials".to_owned(),
            "send them in otlp.headers, which is kept secret".to_owned(),
        ));
    }
    if text.contains(['?', '#']) {
        return wrong("the URL has a query or a fragment".to_owned());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong(format!("{text:?} does not begin with http:// or https://"));
    };
    if scheme != "http" && scheme != "https" {
        return wrong(format!("{text:?} has the scheme {scheme:?}"));
    }
    if rest.is_empty() || rest.starts_with([':', '/']) {
        return wrong(format!("{text:?} names no host"));
    }
    match text.parse::<http::Uri>() {
        Err(error) => wrong(format!("{text:?} is no URL: {error}")),
        Ok(uri) => match uri.authority().map(http::uri::Authority::as_str).and_then(port) {
            Some(Ok(1..)) | None => Ok(value.clone()),
            Some(_) => wrong(format!("{text:?} has an invalid port: expected 1 to 65535")),
        },
    }
}

/// The port of an authority, if it has one: `http::Uri` accepts ports beyond 65535.
fn port(authority: &str) -> Option<Result<u16, std::num::ParseIntError>> {
    let after_host = authority.rfind(']').map_or(authority, |bracket| &authority[bracket..]);
    after_host.rsplit_once(':').map(|(_, port)| port.parse())
}

fn listen(value: &Value) -> Result<Value, Fault> {
    let right = "use an IP address and a port, such as 127.0.0.1:9966 or [::1]:9966, or an empty text for off";
    match text(value, right)? {
        "" => Ok(value.clone()),
        text if text.parse::<SocketAddr>().is_ok() => Ok(value.clone()),
        text => Err((format!("{text:?} is no IP address with a port"), right.to_owned())),
    }
}

fn socket_path(value: &Value, or: &str) -> Result<Value, Fault> {
    let right = format!("use an absolute path such as /run/eyepiece/monitor1_2.sock{or}");
    let text = text(value, &right)?;
    let wrong = if text.is_empty() { Err("it is empty".to_owned()) } else { crate::addresses::socket_path(text) };
    wrong.map(|()| value.clone()).map_err(|wrong| (wrong, right))
}

/// Only as a text: TOML has no numbers with a leading zero, and others would be decimal.
fn mode(value: &Value) -> Result<Value, Fault> {
    let right = "use permissions in octal, such as \"0660\"";
    let text = text(value, right)?;
    match parse_mode(text) {
        Ok(_) => Ok(value.clone()),
        Err(wrong) => Err((format!("{text:?} {wrong}"), right.to_owned())),
    }
}
