//! OpenTelemetry's limits of attributes: they hold for log records, metrics and resources are exempt.

use super::variables::{Variables, get, problem};
use crate::error::Problem;

/// Variables and their keys. Those of log records come last, so that they win over the general ones.
const LIMITS: [(&str, &str); 4] = [
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "otlp.logs.attribute_count_limit"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "otlp.logs.attribute_value_length_limit"),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "otlp.logs.attribute_count_limit"),
    ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "otlp.logs.attribute_value_length_limit"),
];

/// Adds the settings of the limits.
pub(super) fn settings<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    for (name, path) in LIMITS {
        let Some((name, value)) = get(variables, name) else { continue };
        match value.parse::<u32>() {
            Ok(limit) => settings.push((name, path, limit.to_string())),
            Err(_) => {
                let wrong = format!("{value:?} is no limit, the variable is ignored");
                warnings.push(problem(name, wrong, "use a whole number from 0 to 4294967295"));
            }
        }
    }
}
