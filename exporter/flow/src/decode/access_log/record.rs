//! The protocol's part of an access-log record.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::fields::Fields;
use super::url;
use crate::decode::error::RecordError;
use crate::gob::Value;
use crate::l7::{Dns, Generic, Http, Kafka, L7Kind, L7Record};

/// Decodes the protocol's part; fields of responses are ignored in requests.
pub(super) fn decode(record: &Fields<'_>, kind: L7Kind) -> Result<L7Record, RecordError> {
    let is_request = kind == L7Kind::Request;
    if let Some(fields) = record.part("DNS")? {
        return dns(&fields, is_request).map(L7Record::Dns);
    }
    if let Some(fields) = record.part("HTTP")? {
        return http(&fields, is_request).map(L7Record::Http);
    }
    if let Some(fields) = record.part("Kafka")? {
        return kafka(&fields, is_request).map(L7Record::Kafka);
    }
    if let Some(fields) = record.part("L7")? {
        return generic(&fields).map(L7Record::Generic);
    }
    Ok(L7Record::None)
}

fn dns(fields: &Fields<'_>, is_request: bool) -> Result<Dns, RecordError> {
    // Numbers are truncated to the width of protobuf's fields.
    let types = |field| fields.list(field, "a list of numbers", |value| value.as_uint().map(|number| number as u16));
    let request = Dns {
        query: fields.text("Query")?.to_owned(),
        observation_source: fields.text("ObservationSource")?.to_owned(),
        qtypes: types("QTypes")?,
        ..Dns::default()
    };
    if is_request {
        return Ok(request);
    }
    Ok(Dns {
        ips: fields.list("IPs", "a list of addresses", address)?,
        ttl: fields.uint("TTL")? as u32,
        cnames: fields.texts("CNAMEs")?,
        rcode: fields.int("RCode")? as u32,
        rrtypes: types("AnswerTypes")?,
        ..request
    })
}

/// Formats an address as Go does: up to 1.16 a `net.IP`, which is a slice of bytes, then a marshaled `netip.Addr`.
fn address(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bytes(bytes) => match *bytes.as_slice() {
            [] => "<nil>".to_owned(),
            [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
            ref bytes => match <[u8; 16]>::try_from(bytes).map(Ipv6Addr::from) {
                Ok(address) => {
                    address.to_ipv4_mapped().map_or_else(|| address.to_string(), |mapped| mapped.to_string())
                }
                Err(_) => {
                    let mut text = "?".to_owned();
                    // Writing to a String can't fail.
                    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap_or_default());
                    text
                }
            },
        },
        Value::Binary(bytes) => match bytes.split_first_chunk::<16>() {
            Some((address, [])) => Ipv6Addr::from(*address).to_string(),
            Some((address, zone)) => format!("{}%{}", Ipv6Addr::from(*address), String::from_utf8_lossy(zone)),
            None => match *bytes.as_slice() {
                [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
                [] => "invalid IP".to_owned(),
                _ => return None,
            },
        },
        _ => return None,
    })
}

fn http(fields: &Fields<'_>, is_request: bool) -> Result<Http, RecordError> {
    let values = |value| -> Option<Vec<&str>> { Value::as_list(value)?.iter().map(Value::as_text).collect() };
    let headers = fields.map("Headers", "lists of texts by name", values)?;
    let headers = headers.into_iter().flat_map(|(name, values)| {
        values.into_iter().map(|value| (name.clone(), value.to_owned())).collect::<Vec<_>>()
    });
    Ok(Http {
        code: if is_request { 0 } else { fields.int("Code")? as u32 },
        method: fields.text("Method")?.to_owned(),
        url: url::redacted(fields.marshaled("URL")?),
        protocol: fields.text("Protocol")?.to_owned(),
        headers: headers.collect(),
    })
}

fn kafka(fields: &Fields<'_>, is_request: bool) -> Result<Kafka, RecordError> {
    let topic = fields.part("Topic")?;
    Ok(Kafka {
        error_code: if is_request { 0 } else { fields.int("ErrorCode")? as i32 },
        api_version: fields.int("APIVersion")? as i32,
        api_key: fields.text("APIKey")?.to_owned(),
        correlation_id: fields.int("CorrelationID")? as i32,
        topic: topic.map_or(Ok(""), |topic| topic.text("Topic"))?.to_owned(),
    })
}

fn generic(fields: &Fields<'_>) -> Result<Generic, RecordError> {
    Ok(Generic {
        protocol: fields.text("Proto")?.to_owned(),
        fields: fields.map("Fields", "texts by name", |value| value.as_text().map(str::to_owned))?,
    })
}
