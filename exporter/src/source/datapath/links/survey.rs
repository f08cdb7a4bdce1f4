//! Looks behind endpoints, on a thread that may block: addresses in their namespaces, and the namespaces' inodes.
//!
//! A notification only marks a namespace as to be looked at; what is then read is the whole truth about it. So
//! neither a lost notification nor one that comes late can leave something wrong for longer than to the next look.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::namespaces::{self, SearchPaths};
use super::requests::{RequestError, Requests};
use super::routes::{self, Claim};

/// What to look at.
#[derive(Debug)]
pub enum SurveyRequest {
    /// Addresses of namespaces by their id; none = our own.
    Addresses(BTreeSet<Option<i32>>),
    /// Inodes of the namespaces behind these interfaces.
    Inodes(BTreeMap<u32, i32>),
    /// Whether the host's tables lead to endpoints by addresses that they sent from.
    Claims(BTreeSet<Claim>),
}

/// Addresses of a namespace, each with the index of its interface there.
pub type Addresses = Result<Vec<(u32, IpAddr)>, RequestError>;

/// What was found.
#[derive(Debug)]
pub enum SurveyResult {
    /// The addresses of each namespace, or why there are none.
    Addresses(BTreeMap<Option<i32>, Addresses>),
    /// What was asked, and inodes by namespace id.
    Inodes(BTreeMap<u32, i32>, Result<BTreeMap<i32, u32>, RequestError>),
    /// What was asked, each with the answer.
    Claims(Vec<(Claim, Result<bool, RequestError>)>),
}

/// Runs an request; blocks.
pub fn run(request: SurveyRequest, requests: &mut Requests, search_paths: &SearchPaths) -> SurveyResult {
    match request {
        SurveyRequest::Addresses(namespaces) => {
            SurveyResult::Addresses(namespaces.into_iter().map(|id| (id, requests.addresses(id))).collect())
        }
        SurveyRequest::Inodes(asked) => {
            let wanted = asked.values().copied().collect();
            let found = namespaces::inodes(search_paths, &wanted, requests);
            SurveyResult::Inodes(asked, found)
        }
        SurveyRequest::Claims(claims) => {
            SurveyResult::Claims(claims.into_iter().map(|claim| (claim, routes::confirm(requests, &claim))).collect())
        }
    }
}
