//! The failure of a request to the API server; its text names the verb and the resource.

use eyepiece_hubble::terminal::safe;
use kube::runtime::watcher;

use super::objects::Kind;
use crate::support::error_chain::error_chain;

/// Characters of a server's text that are kept.
const MAX_TEXT: usize = 400;

/// Why objects of a kind are not current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The value of `eyepiece.reason`.
    pub(super) reason: &'static str,
    /// One line.
    pub(super) text: String,
    /// Whether the next attempt must list again, because the server does not continue from where the watch was.
    pub(super) needs_list: bool,
}

impl Failure {
    /// The failure of a kind's list or watch.
    pub(super) fn new(kind: Kind, error: &watcher::Error) -> Self {
        let (verb, cause) = match error {
            watcher::Error::InitialListFailed(cause) => ("list", Some(cause)),
            watcher::Error::WatchStartFailed(cause) | watcher::Error::WatchFailed(cause) => ("watch", Some(cause)),
            watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => ("watch", None),
        };
        let status = match (error, cause) {
            (watcher::Error::WatchError(status), _) | (_, Some(kube::Error::Api(status))) => Some(status),
            _ => None,
        };
        let resource = kind.resource();
        let Some(status) = status else {
            let cause = cause.map_or_else(|| error_chain(error), |cause| error_chain(cause));
            let (reason, text) = (reason(error), one_line(&format!("cannot {verb} {resource}: {cause}")));
            // kube would stay with a watch that carries what is no event.
            return Self { reason, text, needs_list: reason == "invalid" };
        };
        let (reason, hint) = match status.code {
            401 => ("unauthorized", ""),
            403 => ("forbidden", "; docker/kubernetes/rbac.yaml has the rights that are needed"),
            410 => ("gone", ""),
            _ => ("status", ""),
        };
        let text = format!("cannot {verb} {resource}: {} {}", status.code, one_line(&status.message));
        Self { reason, text: text + hint, needs_list: matches!(status.code, 400 | 410 | 422 | 504) }
    }

    /// The failure of a list that does not end.
    pub(super) fn endless(kind: Kind) -> Self {
        let text = format!("cannot list {}: the list does not end", kind.resource());
        Self { reason: "timeout", text, needs_list: true }
    }

    /// Returns whether a right is missing.
    pub(super) fn is_forbidden(&self) -> bool {
        self.reason == "forbidden"
    }
}

fn reason(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => match cause {
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "invalid",
            _ => "connection",
        },
        _ => "invalid",
    }
}

/// A text of the server as one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let cut: String = text.chars().take(MAX_TEXT).collect();
    safe(&cut).into_owned()
}
