//! Ids of the types that gob knows without a descriptor.

/// An unsigned number, 0 or 1.
pub(super) const BOOL: i64 = 1;
/// A signed number of any width.
pub(super) const INT: i64 = 2;
/// An unsigned number of any width.
pub(super) const UINT: i64 = 3;
/// A float of any width: the bits of an f64 in reversed byte order, as an unsigned number.
pub(super) const FLOAT: i64 = 4;
/// `[]byte`: a length and as many bytes.
pub(super) const BYTES: i64 = 5;
/// A text, encoded as bytes.
pub(super) const STRING: i64 = 6;
/// Two floats.
pub(super) const COMPLEX: i64 = 7;
/// The name of a type, its id, a length and a value of that type.
pub(super) const INTERFACE: i64 = 8;
