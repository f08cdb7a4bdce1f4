//! Hubble's messages as our records.
