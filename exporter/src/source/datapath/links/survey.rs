//! Surveys endpoints on a thread that may block: addresses in their namespaces, and namespace inodes.
//!
//! A notification only marks a namespace; a survey then reads its whole state. So a lost or late notification leaves
//! nothing wrong for longer than until the next survey.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::namespaces::{self, SearchPaths};
use super::requests::{RequestError, Requests};
use super::routes::{self, RouteCheck};

/// A request for a survey.
#[derive(Debug)]
pub enum SurveyRequest {
    /// Addresses of namespaces by their id; `None` = our own.
    Addresses(BTreeSet<Option<i32>>),
    /// Inodes of the namespaces behind these interfaces.
    Inodes(BTreeMap<u32, i32>),
    /// Whether the host's tables lead to endpoints by learned addresses.
    Routes(BTreeSet<RouteCheck>),
}

/// Addresses of a namespace, each with the index of its interface there.
pub type Addresses = Result<Vec<(u32, IpAddr)>, RequestError>;

/// The result of a survey.
#[derive(Debug)]
pub enum SurveyResult {
    /// The addresses of each namespace, or the error.
    Addresses(BTreeMap<Option<i32>, Addresses>),
    /// The requested interfaces, and inodes by namespace id.
    Inodes(BTreeMap<u32, i32>, Result<BTreeMap<i32, u32>, RequestError>),
    /// Each check, with the answer.
    Routes(Vec<(RouteCheck, Result<bool, RequestError>)>),
}

/// Runs a survey; blocks.
pub fn run(request: SurveyRequest, requests: &mut Requests, search_paths: &SearchPaths) -> SurveyResult {
    match request {
        SurveyRequest::Addresses(namespaces) => {
            SurveyResult::Addresses(namespaces.into_iter().map(|id| (id, requests.addresses(id))).collect())
        }
        SurveyRequest::Inodes(interfaces) => {
            let wanted = interfaces.values().copied().collect();
            let found = namespaces::inodes(search_paths, &wanted, requests);
            SurveyResult::Inodes(interfaces, found)
        }
        SurveyRequest::Routes(checks) => {
            SurveyResult::Routes(checks.into_iter().map(|check| (check, routes::confirm(requests, &check))).collect())
        }
    }
}
