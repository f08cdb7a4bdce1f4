//! The OTLP resource: the exporter and its host. Logs, metrics and our own telemetry share it.

use eyepiece_semconv::{OTEL_SCHEMA_URL, attribute};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as ProtoKeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_sdk::resource::{ResourceDetector as _, TelemetryResourceDetector};
use prost::Message as _;

/// Default of `service.name`.
pub const DEFAULT_SERVICE_NAME: &str = "eyepiece";

/// Attributes of the resource, ordered by name, each name once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(Vec<(String, String)>);

impl Resource {
    /// Merges our own attributes, `attributes` (`OTEL_RESOURCE_ATTRIBUTES`) and `service_name` (`OTEL_SERVICE_NAME`); later
    /// ones win. `instance_id` names this instance of the program. An attribute with an empty value is left out.
    pub fn new(
        host: &str,
        instance_id: &str,
        attributes: impl IntoIterator<Item = (String, String)>,
        service_name: Option<&str>,
    ) -> Self {
        let ours = [
            (attribute::SERVICE_NAME, DEFAULT_SERVICE_NAME),
            (attribute::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            (attribute::SERVICE_INSTANCE_ID, instance_id),
            (attribute::HOST_NAME, host),
            (attribute::TELEMETRY_DISTRO_NAME, env!("CARGO_PKG_NAME")),
            (attribute::TELEMETRY_DISTRO_VERSION, env!("CARGO_PKG_VERSION")),
        ];
        let sdk = TelemetryResourceDetector.detect();
        let mut all = std::collections::BTreeMap::new();
        all.extend(sdk.iter().map(|(key, value)| (key.as_str().to_owned(), value.as_str().into_owned())));
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        all.extend(ours.into_iter().map(owned));
        all.extend(attributes);
        all.extend(service_name.map(|name| owned((attribute::SERVICE_NAME, name))));
        all.retain(|_, value| !value.is_empty());
        Self(all.into_iter().collect())
    }

    /// Names and values.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.0
    }

    /// The resource as an OTLP message.
    pub fn proto(&self) -> ProtoResource {
        let attribute = |(key, value): &(String, String)| ProtoKeyValue {
            key: key.clone(),
            value: Some(AnyValue { value: Some(Value::StringValue(value.clone())) }),
            ..ProtoKeyValue::default()
        };
        ProtoResource { attributes: self.0.iter().map(attribute).collect(), ..ProtoResource::default() }
    }

    /// The resource of the SDK, with its schema URL.
    pub fn sdk(&self) -> opentelemetry_sdk::Resource {
        let attributes = self.0.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        opentelemetry_sdk::Resource::builder_empty().with_schema_url(attributes, OTEL_SCHEMA_URL).build()
    }

    /// The bytes of OTLP's `Resource`.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        self.proto().encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::{OTEL_SCHEMA_URL, Resource, attribute};

    fn attributes(given: &[(&str, &str)], service_name: Option<&str>) -> Vec<String> {
        let given = given.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let resource = Resource::new("h", "i", given, service_name);
        let sdk = resource.sdk();
        assert_eq!((sdk.len(), sdk.schema_url()), (resource.attributes().len(), Some(OTEL_SCHEMA_URL)));
        assert_eq!(resource.proto().attributes.len(), resource.attributes().len());
        let lines = resource.attributes().iter().map(|(key, value)| format!("{key}={value}"));
        lines.filter(|line| !line.starts_with("telemetry.")).collect()
    }

    #[test]
    fn sdk_and_distribution_are_named() {
        let resource = Resource::new("h", "i", [], None);
        let value = |name: &str| resource.attributes().iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        assert_eq!(value(attribute::TELEMETRY_SDK_NAME), Some("opentelemetry"));
        assert_eq!(value(attribute::TELEMETRY_SDK_LANGUAGE), Some("rust"));
        assert!(value(attribute::TELEMETRY_SDK_VERSION).is_some_and(|version| version.starts_with("0.")));
        assert_eq!(value(attribute::TELEMETRY_DISTRO_NAME), Some("eyepiece"));
        assert_eq!(value(attribute::TELEMETRY_DISTRO_VERSION), Some(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn later_attributes_win() {
        let version = format!("service.version={}", env!("CARGO_PKG_VERSION"));
        let ours = ["host.name=h", "service.instance.id=i", "service.name=eyepiece", &version];
        assert_eq!(attributes(&[], None), ours);
        let given = [("a", "1"), ("service.name", "given"), ("host.name", "other")];
        let expected = ["a=1", "host.name=other", "service.instance.id=i", "service.name=given", &version];
        assert_eq!(attributes(&given, None), expected);
        let expected = ["a=1", "host.name=other", "service.instance.id=i", "service.name=env", &version];
        assert_eq!(attributes(&given, Some("env")), expected);
        assert!(!Resource::new("", "i", [], None).attributes().iter().any(|(key, _)| key == "host.name"));
    }
}
