//! Texts of debug messages, as Cilium's monitor writes them (Cilium `pkg/monitor/datapath_debug.go`).

mod errno;
mod texts;

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use crate::debug_event::DebugEvent;
use crate::names::drop_reason_text;

/// Returns the name of a subtype in `flow.DebugEventType`, without its prefix `DBG_`.
pub fn name(kind: u8) -> Option<&'static str> {
    texts::TEXTS.get(usize::from(kind)).map(|&(name, _)| name)
}

/// Writes the text of a message. `link` writes the name of an interface, or nothing if it is unknown, as in Hubble.
///
/// # Errors
/// The writer fails.
pub fn write<W: Write>(
    event: &DebugEvent,
    link: &mut dyn FnMut(u32, &mut W) -> fmt::Result,
    out: &mut W,
) -> fmt::Result {
    let text = texts::TEXTS.get(usize::from(event.kind)).map_or("", |&(_, text)| text);
    if text.is_empty() {
        return write!(out, "Unknown message type={} arg1={} arg2={}", event.kind, event.arg1, event.arg2);
    }
    let mut rest = text;
    while let Some((before, placeholder)) = rest.split_once('{') {
        out.write_str(before)?;
        let Some((form, behind)) = placeholder.split_once('}') else { break };
        let (number, form) = form.split_once(':').unwrap_or((form, ""));
        let argument = match number {
            "1" => event.arg1,
            "2" => event.arg2,
            _ => event.arg3,
        };
        match form {
            "i" => link(argument, out)?,
            form => write_form(argument, form, out)?,
        }
        rest = behind;
    }
    out.write_str(rest)
}

/// Writes an argument in one of the forms of the texts.
fn write_form(argument: u32, form: &str, out: &mut impl Write) -> fmt::Result {
    let (high, low) = (argument >> 16, argument & 0xffff);
    match form {
        "x" => write!(out, "{argument:x}"),
        "#x" => write!(out, "{argument:#x}"),
        "n" => write!(out, "{}", swapped(low)),
        "h" => write!(out, "{high}"),
        "l" => write!(out, "{low}"),
        "hn" => write!(out, "{}", swapped(high)),
        "b" => write!(out, "{}", argument >> 8),
        "c" => write!(out, "{}", argument & 0xff),
        "4" => write!(out, "{}", Ipv4Addr::from(argument.to_le_bytes())),
        "6" => {
            let argument = argument.swap_bytes();
            write!(out, "{:x}:{:x}", argument >> 16, argument & 0xffff)
        }
        "f" => out.write_str(["", "OUT", "RELATED", "OUT, RELATED"][(argument & 3) as usize]),
        "s" => write_state(argument, out),
        "d" => out.write_str(["egress", "ingress"].get(argument as usize).copied().unwrap_or_default()),
        "e" => write_error(argument, out),
        _ => write!(out, "{argument}"),
    }
}

/// Converts sixteen bits from network order.
const fn swapped(half: u32) -> u32 {
    (half & 0xff) << 8 | half >> 8
}

/// Writes a state of connection tracking, or the reason of a drop.
fn write_state(argument: u32, out: &mut impl Write) -> fmt::Result {
    if let Some(state) = ["New", "Established", "Reply", "Related"].get(argument as usize) {
        return out.write_str(state);
    }
    let reason = argument & 0xff;
    match drop_reason_text(reason) {
        Some(text) => out.write_str(text),
        None => write!(out, "{reason}, 0"),
    }
}

fn write_error(argument: u32, out: &mut impl Write) -> fmt::Result {
    let index = (argument as usize).checked_sub(1);
    match index.map(|index| errno::TEXTS.get(index).copied().unwrap_or_default()) {
        None => out.write_str("Success"),
        Some("") => write!(out, "errno {argument}"),
        Some(text) => out.write_str(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{name, texts, write};
    use crate::debug_event::DebugEvent;
    use crate::flow::End;

    fn text(kind: u8, arg1: u32, arg2: u32, arg3: u32) -> String {
        let event =
            DebugEvent { time: 0, uuid: [0; 16], cpu: 0, kind, source: End::default(), hash: 0, arg1, arg2, arg3 };
        let mut out = String::new();
        write(
            &event,
            &mut |index, out: &mut String| std::fmt::Write::write_fmt(out, format_args!("if{index}")),
            &mut out,
        )
        .unwrap();
        out
    }

    #[test]
    fn message_of_each_form_has_text() {
        let port = u32::from(80_u16.to_be());
        for (kind, arg1, arg2, arg3, expected) in [
            (0, 1, 2, 3, "Unknown message type=0 arg1=1 arg2=2"),
            (1, 0, 10, 255, "No message, arg1=0 (0x0) arg2=10 (0xa) arg3=255 (0xff)"),
            (4, 7, port, 0, "Local container found ifindex if7 seclabel 80"),
            (6, 0x1f90_0050, 0x0603, 0, "CT lookup: sport=8080 dport=80 nexthdr=6 flags=OUT, RELATED"),
            (7, 0, 0xfffc, 0, "CT reverse lookup: sport=0 dport=0 nexthdr=255 flags="),
            (10, u32::from_le_bytes([10, 0, 0, 11]), port, 0, "CT created 2/2: 10.0.0.11 revnat=80"),
            (13, 0xfd00, 0xb, 0, "ICMPv6 neighbour solicitation for address fd00:b"),
            (15, 3, 0, 0, "CT verdict: Related, revnat=0"),
            (15, 4, 0, 0, "CT verdict: Interface Decrypted, revnat=0"),
            (15, 0x285, 0, 0, "CT verdict: Policy denied, revnat=0"),
            (15, 1000, 0, 0, "CT verdict: 232, 0, revnat=0"),
            (42, port << 16 | port, 1, 6, "Reverse proxy lookup sport=80 dport=80 saddr=1.0.0.0 nexthdr=6"),
            (45, port, 0, 0, "Resolved L4 policy to: 80 / egress"),
            (45, port, 1, 0, "Resolved L4 policy to: 80 / ingress"),
            (45, port, 2, 0, "Resolved L4 policy to: 80 / "),
            (
                51,
                u32::from_le_bytes([0, 1, 0xa, 0xb]),
                0,
                443 << 16 | 1000,
                "Conntrack lookup 1/2: src=[::1:a0b]:1000 dst=[::0:0]:443",
            ),
            (52, 0x0611, 1, 2, "Conntrack lookup 2/2: nexthdr=6 flags=17 dir=1 scope=2"),
            (55, 1, 2, port << 16 | 6, "Matched L4 policy; creating conntrack src=1 dst=2 dport=80 proto=6"),
            (60, 1, 2, 0, "Stale CT entry found stale_ct.rev_nat_id=2, svc.rev_nat_id=1"),
            (64, 0, 0, 0, "Socket assign: Success"),
            (64, 2, 0, 0, "Socket assign: no such file or directory"),
            (64, 22, 0, 0, "Socket assign: invalid argument"),
            (64, 41, 0, 0, "Socket assign: errno 41"),
            (64, 133, 0, 0, "Socket assign: errno 133"),
            (64, u32::MAX, 0, 0, "Socket assign: errno 4294967295"),
            (66, 1, 2, 0, "Unknown message type=66 arg1=1 arg2=2"),
            (67, 0x1a, 0x2b, 0, "Loopback SNAT from.p4=1a to.p4=2b"),
            (68, 0x1a, 0x2b, 0, "Loopback reverse SNAT from.p4=1a to.p4=2b"),
            (69, 1, 2, 0, "Unknown message type=69 arg1=1 arg2=2"),
            (255, 1, 2, 0, "Unknown message type=255 arg1=1 arg2=2"),
        ] {
            assert_eq!(text(kind, arg1, arg2, arg3), expected, "{kind}");
        }
    }

    #[test]
    fn subtypes_have_names() {
        assert_eq!(
            [0, 1, 66, 68, 69].map(name),
            [Some("EVENT_UNKNOWN"), Some("GENERIC"), Some("SKIP_POLICY"), Some("LB6_LOOPBACK_SNAT_REV"), None]
        );
    }

    #[test]
    fn texts_have_known_forms_only() {
        let known = ["", "x", "#x", "n", "h", "l", "hn", "b", "c", "4", "6", "i", "f", "s", "d", "e"];
        for (name, text) in texts::TEXTS {
            for placeholder in text.split('{').skip(1) {
                let form = placeholder.split_once('}').unwrap_or_else(|| panic!("{name}")).0;
                let (number, form) = form.split_once(':').unwrap_or((form, ""));
                assert!(["1", "2", "3"].contains(&number) && known.contains(&form), "{name}: {form}");
            }
        }
    }
}
