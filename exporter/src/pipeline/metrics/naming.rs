//! Which names attributes have.

/// How attributes are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// OpenTelemetry's conventions, with the prefix `hubble.` where they have no name.
    #[default]
    Semconv,
    /// The labels of Hubble's own metrics.
    Hubble,
}
