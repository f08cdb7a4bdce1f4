//! One program at one side of an interface, which is known by its index: its name may change.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::super::links::filters::{Direction, TcFilter, add, add_clsact, remove_if_there};
use super::super::links::requests::{RequestError, Requests};
use super::super::sys;
use super::mode::Mode;

/// An attached program; dropping it detaches.
pub(super) enum Attachment {
    /// The kernel detaches when the descriptor is closed.
    Tcx { _link: OwnedFd },
    /// A filter stays until it is removed explicitly.
    Clsact(TcFilter),
}

impl Attachment {
    /// Attaches a program. Sets `made_clsact` if it had to create the clsact queueing discipline.
    pub(super) fn attach(
        mode: Mode,
        ifindex: u32,
        direction: Direction,
        (program, name): (BorrowedFd<'_>, &str),
        made_clsact: &mut bool,
    ) -> Result<Self, RequestError> {
        match mode {
            Mode::Tcx => {
                let link = sys::attach_tcx(program, ifindex, direction == Direction::Ingress)?;
                Ok(Self::Tcx { _link: link })
            }
            Mode::Clsact => {
                let mut requests = Requests::open()?;
                *made_clsact |= add_clsact(&mut requests, ifindex)?;
                add(&mut requests, ifindex, direction, program, name).map(Self::Clsact)
            }
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let Self::Clsact(filter) = self else { return };
        let removed = Requests::open().and_then(|mut requests| remove_if_there(&mut requests, filter));
        if let Err(error) = removed {
            tracing::warn!(ifindex = filter.ifindex, %error, "cannot remove a clsact filter");
        }
    }
}
