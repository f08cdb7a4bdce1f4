//! Hubble's observer: what was observed last, and the API that Hubble's clients ask for it.
//!
//! The pipeline writes batches into the [`ring`]; every client reads from it at its own pace, and is told what it was
//! too slow for.

pub mod ring;
