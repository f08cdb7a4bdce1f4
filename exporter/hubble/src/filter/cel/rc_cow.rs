//! A text or bytes, borrowed or shared: cloning copies nothing.

use std::borrow::Borrow;
use std::ops::Deref;
use std::rc::Rc;

/// As [`std::borrow::Cow`], with a reference count for the owned value.
#[derive(Debug)]
pub(super) enum RcCow<'a, T: ToOwned + ?Sized> {
    /// Part of the flow or of the expression.
    Borrowed(&'a T),
    /// Made at evaluation.
    Owned(Rc<T::Owned>),
}

impl<T: ToOwned + ?Sized> Clone for RcCow<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(value) => Self::Borrowed(value),
            Self::Owned(value) => Self::Owned(Rc::clone(value)),
        }
    }
}

impl<T: ToOwned + ?Sized> Deref for RcCow<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(value) => value,
            Self::Owned(value) => (**value).borrow(),
        }
    }
}
