//! Prints the reference file, with every key, its default and its meaning, and the settings in force.

use std::collections::BTreeMap;

use crate::load::Loaded;
use crate::render::render;
use crate::settings::Settings;

const HEAD: &str = "\
# eyepiece: every key with its default. `eyepiece config reference` prints this file.
#
# Layers, the later ones win: these defaults, OpenTelemetry's OTEL_* variables, the file (--config FILE, else
# /etc/eyepiece/config.toml if it is there), EYEPIECE_* variables with __ between levels (EYEPIECE_OTLP__ENDPOINT),
# flags (--set otlp.endpoint=URL).
#
# Durations: 250ms, 5s, 1m30s. Sizes: 512KiB, 8MiB, 1GiB. In variables and flags, lists are written a,b and tables
# name=value,name=value with values percent-encoded.
";

/// A commented TOML file with every key, its default and its meaning.
pub fn reference() -> String {
    format!("{HEAD}{}", render(&Settings::default(), true, &BTreeMap::new()))
}

impl Loaded {
    /// The settings in force as TOML, with the origin of each value that is not a default. Secrets are hidden.
    pub fn print(&self) -> String {
        render(&self.settings, false, &self.origins)
    }
}
