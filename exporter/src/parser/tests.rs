//! Payloads written out by hand, and what becomes of them.
