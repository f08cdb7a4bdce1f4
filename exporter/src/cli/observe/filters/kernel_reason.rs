//! Drop reasons of the kernel in filters. The API has no field for them: an expression searches our server's summary.

use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use eyepiece_hubble::proto::flow::{DropReason, FlowFilter};
use eyepiece_hubble::terminal::safe;

use crate::source::datapath::btf::Btf;
use crate::source::datapath::kernel_names::{normalize_reason, reasons};

/// A reason by its name.
pub(super) enum Reason {
    /// One of the API's enum.
    Cilium(DropReason),
    /// A reason of the kernel or of a newer API: its name, without prefix.
    Kernel(String),
}

/// Parses a name, in any case.
pub(super) fn parse(text: &str) -> Result<Reason, String> {
    let name = text.to_ascii_uppercase();
    if let Some(reason) = DropReason::from_str_name(&name) {
        return Ok(Reason::Cilium(reason));
    }
    let name = normalize_reason(&name);
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_name {
        return Err(format!("invalid drop reason {text:?}: expected a name, such as NO_SOCKET"));
    }
    Ok(Reason::Kernel(name.to_owned()))
}

/// Adds the kernel's reasons to a filter. One of the filter's reasons must match, so those of the API's enum join the
/// expression. One of its expressions must match, so the others join it, too.
pub(super) fn add(reasons: &[String], filter: &mut FlowFilter) {
    if reasons.is_empty() {
        return;
    }
    let names = reasons.iter().map(|name| format!("_flow.Summary == '{name}' || _flow.Summary.endsWith('({name})')"));
    let numbers = filter.drop_reason_desc.drain(..).map(|number| format!("_flow.drop_reason_desc == {number}"));
    let any: Vec<_> = names.chain(numbers).collect();
    let drop = "_flow.verdict == Verdict.DROPPED && _flow.event_type.type == 1";
    let mut expression = format!("{drop} && ({})", any.join(" || "));
    let others = &mut filter.experimental.get_or_insert_with(Experimental::default).cel_expression;
    if !others.is_empty() {
        let any: Vec<_> = others.drain(..).map(|other| format!("({other})")).collect();
        expression = format!("{expression} && ({})", any.join(" || "));
    }
    others.push(expression);
}

/// A note about names that this kernel lacks: mistyped, or another kernel's. `None` if its names cannot be read.
pub(in crate::cli::observe) fn note(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let known = reasons(&Btf::from_kernel().ok()?);
    let unknown: Vec<_> =
        names.iter().filter(|name| !known.values().any(|known| known == *name)).map(|name| safe(name)).collect();
    (!unknown.is_empty()).then(|| {
        let names = unknown.join(", ");
        format!("--drop-reason-desc: neither Hubble nor the kernel of this machine has {names}; another kernel may")
    })
}
