//! Converts attribute values from text to the type in the registry.

use eyepiece_semconv::{Attribute, Type};

/// Returns the number of an attribute's text; `None` if the registry has another type for it, or no such attribute.
pub(super) fn number(name: &str, text: &str) -> Option<i64> {
    let attribute = Attribute::find(name).filter(|attribute| attribute.r#type == Type::Int)?;
    let number = text.parse();
    debug_assert!(number.is_ok(), "{} is {text:?}", attribute.name);
    number.ok()
}

#[cfg(test)]
mod tests {
    use eyepiece_semconv::attribute;

    use super::number;

    #[test]
    fn numbers_follow_registry() {
        for (name, text, expected) in [
            (attribute::HUBBLE_DROP_NETNS, "4026531840", Some(4_026_531_840)),
            (attribute::DESTINATION_PORT, "443", Some(443)),
            (attribute::HUBBLE_DROP_REASON, "159", None),
            ("destination_port", "443", None),
        ] {
            assert_eq!(number(name, text), expected, "{name}");
        }
    }
}
