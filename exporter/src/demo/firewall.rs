//! One firewall rule, by nfnetlink and so without `nft`: the node drops forwarded TCP to a port.
//!
//! Layouts: Linux `include/uapi/linux/netfilter/nf_tables.h`; the numbers in attributes are big-endian.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::source::datapath::links::netlink::{Messages, Request, i32_at};

/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`: all requests between them succeed, or none.
const BATCH: (u16, u16) = (0x10, 0x11);
/// `NFPROTO_INET`: IPv4 and IPv6.
const INET: u8 = 1;
/// `NFT_MSG_NEWTABLE`, `NFT_MSG_NEWCHAIN`, `NFT_MSG_NEWRULE`.
const NEW: (u16, u16, u16) = (0, 3, 6);
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// Names of the table and of the chain.
const NAME: &[u8] = b"demo\0";
/// The kernel answers at once, unless it loads a module.
const TIMEOUT: TimeVal = TimeVal::new(10, 0);

/// Drops packets to a TCP port that the calling thread's namespace would forward.
///
/// # Errors
/// The kernel's error; `EPROTONOSUPPORT` or `EOPNOTSUPP` without nf_tables.
pub(super) fn drop_forwarded(port: u16) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TIMEOUT)?;
    let requests = [table(), chain(), rule(port)];
    let mut batch = edge(BATCH.0).finish(1);
    for (request, sequence) in requests.into_iter().zip(2..) {
        batch.extend(request.finish(sequence));
    }
    batch.extend(edge(BATCH.1).finish(5));
    send(socket.as_raw_fd(), &batch, MsgFlags::empty())?;
    await_acknowledgements(&socket, 3)
}

/// Waits for `missing` acknowledgements, or the first error.
fn await_acknowledgements(socket: &OwnedFd, mut missing: usize) -> io::Result<()> {
    let mut buffer = [0; 8192];
    while missing > 0 {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for message in Messages::new(&buffer[..length]) {
            match i32_at(message.payload, 0) {
                Some(0) => missing = missing.saturating_sub(1),
                Some(error) => return Err(io::Error::from_raw_os_error(error.wrapping_neg())),
                None => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
    Ok(())
}

fn edge(kind: u16) -> Request {
    let [high, low] = NFTABLES.to_be_bytes();
    Request::new(kind, libc::NLM_F_REQUEST as u16, &[0, 0, high, low])
}

fn message(kind: u16) -> Request {
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_APPEND;
    Request::new(NFTABLES << 8 | kind, flags as u16, &[INET, 0, 0, 0])
}

fn table() -> Request {
    message(NEW.0).attribute(1, NAME)
}

/// A filter at the forward hook (`NF_INET_FORWARD`), priority 0.
fn chain() -> Request {
    let hook = Request::nested(&[(1, &2_u32.to_be_bytes()), (2, &0_u32.to_be_bytes())]);
    message(NEW.1).attribute(1, NAME).attribute(3, NAME).attribute(4 | NESTED, &hook).attribute(7, b"filter\0")
}

/// `tcp dport PORT drop`.
fn rule(port: u16) -> Request {
    let number = |value: u32| value.to_be_bytes();
    let equals = |value: &[u8]| {
        let data = Request::nested(&[(1, value)]);
        expression(b"cmp\0", &[(1, &number(1)), (2, &number(0)), (3 | NESTED, &data)])
    };
    // `NFT_META_L4PROTO` into register 1.
    let protocol = expression(b"meta\0", &[(1, &number(1)), (2, &number(16))]);
    // Two bytes at offset 2 of the transport header into register 1.
    let destination = expression(b"payload\0", &[(1, &number(1)), (2, &number(2)), (3, &number(2)), (4, &number(2))]);
    // `NF_DROP` into the verdict register.
    let code = Request::nested(&[(1, &number(0))]);
    let verdict = Request::nested(&[(2 | NESTED, &code)]);
    let drop = expression(b"immediate\0", &[(1, &number(0)), (2 | NESTED, &verdict)]);
    let expressions =
        [protocol, equals(&[libc::IPPROTO_TCP as u8]), destination, equals(&port.to_be_bytes()), drop].concat();
    message(NEW.2).attribute(1, NAME).attribute(2, NAME).attribute(4 | NESTED, &expressions)
}

/// `NFTA_LIST_ELEM` with name and data of an expression.
fn expression(name: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let inner = Request::nested(&[(1, name), (2 | NESTED, &Request::nested(attributes))]);
    Request::nested(&[(1 | NESTED, &inner)])
}
