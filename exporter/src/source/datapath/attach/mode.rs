//! The kernel's mechanism that attaches the tc programs.

use eyepiece_config::Attach;

use super::super::object;

/// The mode of attaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Links of the kernel's tc express (6.6 and later): the kernel removes them when the process ends.
    Tcx,
    /// Filters of the clsact queueing discipline.
    Clsact,
}

impl Mode {
    /// The configured mode, or the best that this kernel has.
    pub fn choose(configured: Attach) -> Self {
        match configured {
            Attach::Tcx => Self::Tcx,
            Attach::Auto if object::kernel_is_at_least(6, 6) => Self::Tcx,
            Attach::Auto | Attach::Clsact => Self::Clsact,
        }
    }

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => Attach::Tcx.name(),
            Self::Clsact => Attach::Clsact.name(),
        }
    }
}
