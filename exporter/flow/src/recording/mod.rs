//! The file format of raw recordings: events, and facts about the machine that they were recorded on.

mod cursor;
pub mod facts;
pub mod format;
