//! The file format of raw recordings: events, and metadata of the machine that recorded them.

mod cursor;
pub mod format;
pub mod metadata;
