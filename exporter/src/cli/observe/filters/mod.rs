//! Flow filters from flags, by the rules of Hubble's command line: a flag about either end makes two filters, a flag about
//! one end or the flow joins both, and `--not` inverts the next flag.

mod build;
mod flags;
mod kernel_reason;
mod values;

#[cfg(test)]
mod tests;

pub(super) use build::{Filters, build};
pub(super) use flags::FilterFlags;
pub(super) use kernel_reason::note;
