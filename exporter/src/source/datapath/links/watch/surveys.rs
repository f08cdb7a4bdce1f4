//! The watcher's surveys: addresses and namespaces behind endpoints, and hints from the endpoints' packets.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::address_book::LearnOutcome;
use super::super::classify::Role;
use super::super::learner::Hint;
use super::super::routes::RouteCheck;
use super::super::survey::{self, Addresses, SurveyRequest, SurveyResult};
use super::state::Watcher;

impl Watcher {
    pub(super) fn review_addresses(&mut self) {
        self.dirty.insert(None);
        self.dirty.extend(self.table.namespaces().into_iter().map(Some));
    }

    pub(super) fn start_survey(&mut self) {
        if self.surveyor.is_none() {
            return;
        }
        let alive = self.table.namespaces();
        self.dirty.retain(|id| id.is_none_or(|id| alive.contains(&id)));
        let request = if !self.dirty.is_empty() {
            SurveyRequest::Addresses(std::mem::take(&mut self.dirty))
        } else if !self.route_checks.is_empty() {
            SurveyRequest::Routes(std::mem::take(&mut self.route_checks))
        } else if self.search.due <= Instant::now() {
            let wanted = self.table.without_inode();
            self.search.due = Instant::now() + self.search.backoff.delay();
            if wanted.is_empty() {
                return;
            }
            SurveyRequest::Inodes(wanted)
        } else {
            return;
        };
        let (Some(mut requests), search_paths) = (self.surveyor.take(), self.search_paths.clone()) else { return };
        self.surveys.spawn_blocking(move || {
            let result = survey::run(request, &mut requests, &search_paths);
            (requests, result)
        });
    }

    pub(super) fn apply(&mut self, result: SurveyResult) {
        match result {
            SurveyResult::Addresses(found) => self.apply_addresses(found),
            SurveyResult::Inodes(wanted, Ok(found)) => {
                let start = self.pending.len();
                self.table.set_inodes(&wanted, &found, &mut self.pending);
                self.is_stale |= self.pending.len() > start;
            }
            SurveyResult::Inodes(_, Err(error)) => {
                self.metrics.failures.add(1);
                tracing::debug!(%error, "cannot find namespaces of endpoints");
            }
            SurveyResult::Routes(answers) => {
                for (check, answer) in answers {
                    match answer {
                        Ok(leads) => self.is_stale |= self.address_book.confirm(check.ifindex, check.address, leads),
                        Err(error) => {
                            self.metrics.failures.add(1);
                            tracing::debug!(?check, %error, "cannot look up a route");
                        }
                    }
                }
            }
        }
    }

    fn apply_addresses(&mut self, found: BTreeMap<Option<i32>, Addresses>) {
        for (id, result) in found {
            match (id, result) {
                (None, Ok(list)) => {
                    self.is_stale |= self.address_book.set_host(list.into_iter().map(|(_, address)| address));
                }
                (Some(id), Ok(list)) => {
                    for link in self.table.links().filter(|link| link.role == Role::Endpoint) {
                        let Some(peer) = link.peer.filter(|peer| peer.netns == Some(id)) else { continue };
                        let here = list.iter().filter(|(ifindex, _)| *ifindex == peer.ifindex);
                        self.is_stale |=
                            self.address_book.set_configured(link.ifindex, here.map(|&(_, address)| address));
                    }
                }
                // The namespace is gone, or not permitted: the endpoint's packets show its addresses.
                (id, Err(error)) => {
                    self.metrics.failures.add(1);
                    tracing::debug!(?id, %error, "cannot list addresses of a namespace");
                }
            }
        }
    }

    /// Records an address that an endpoint sent from. It may have been configured just now, so the namespace is listed.
    /// Else the host's tables decide: they change without a notification, so each hint checks them.
    pub(super) fn learn(&mut self, hint: Hint) {
        let Hint { ifindex, address } = hint;
        let learned = self.address_book.learn(ifindex, address, Instant::now());
        let Some(link) = self.table.get(ifindex) else { return };
        match learned {
            LearnOutcome::New => self.dirty.extend(link.peer.and_then(|peer| peer.netns).map(Some)),
            LearnOutcome::Known => {}
            LearnOutcome::Full => return self.metrics.learned_refused.add(1),
            LearnOutcome::Configured | LearnOutcome::Unfit | LearnOutcome::Gone => return,
        }
        self.route_checks.insert(RouteCheck { ifindex, address, bridge: link.master });
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let before = self.retired.len();
        self.retired.retain(|gone| gone.until > now);
        self.is_stale |= self.retired.len() != before || self.address_book.expire(now);
    }
}
