//! Flow filters from flags, by the rules of Hubble's command line: what is said of both ends makes two filters, what is
//! said of one end or of the flow joins both, `--not` turns the next flag around.

mod build;
mod flags;
mod kernel_reason;
mod values;

#[cfg(test)]
mod tests;

pub(super) use build::{Filters, build};
pub(super) use flags::FilterFlags;
pub(super) use kernel_reason::note;
