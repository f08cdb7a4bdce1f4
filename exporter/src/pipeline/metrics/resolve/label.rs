//! A label beside the ends of a series, in both namings.

use eyepiece_config::Naming;

/// Returns the attribute's name or Hubble's label.
pub(super) fn named(name: &'static str, naming: Naming) -> &'static str {
    match naming {
        Naming::Semconv => name,
        Naming::Hubble => eyepiece_semconv::hubble_label(name).unwrap_or(name),
    }
}

/// A label beside the ends: an attribute, and Hubble's label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    attribute: &'static str,
    /// `None`: the one that the registry annotates.
    hubble: Option<&'static str>,
}

impl Label {
    pub(super) const fn new(attribute: &'static str) -> Self {
        Self { attribute, hubble: None }
    }

    /// An attribute whose label differs by metric.
    pub(super) const fn of_metric(attribute: &'static str, hubble: &'static str) -> Self {
        Self { attribute, hubble: Some(hubble) }
    }

    pub(super) fn name(self, naming: Naming) -> &'static str {
        match self.hubble {
            Some(hubble) if naming == Naming::Hubble => hubble,
            _ => named(self.attribute, naming),
        }
    }
}

/// The value of `network.type`, or of Hubble's `family` label.
pub(super) fn family_text(version: u8, naming: Naming) -> &'static str {
    match (version, naming) {
        (4, Naming::Semconv) => "ipv4",
        (6, Naming::Semconv) => "ipv6",
        (4, Naming::Hubble) => "IPv4",
        (6, Naming::Hubble) => "IPv6",
        (_, Naming::Semconv) => "",
        (_, Naming::Hubble) => "IP_NOT_USED",
    }
}
