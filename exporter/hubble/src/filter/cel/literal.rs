//! The literals of an expression.

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    /// A number without a sign or suffix; the parser turns it into [`Self::Int`].
    Integer(u64),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}
