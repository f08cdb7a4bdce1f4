//! The watcher's second half: what is behind endpoints, as surveys and the endpoints' own packets tell it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::book::Learned;
use super::super::classify::Role;
use super::super::learner::Hint;
use super::super::routes::Claim;
use super::super::survey::{self, Addresses, Errand, Findings};
use super::{SEARCH_MAX, Watcher};

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
        let errand = if !self.dirty.is_empty() {
            Errand::Addresses(std::mem::take(&mut self.dirty))
        } else if !self.claims.is_empty() {
            Errand::Claims(std::mem::take(&mut self.claims))
        } else if self.search.due <= Instant::now() {
            let wanted = self.table.without_inode();
            self.search.due = Instant::now() + self.search.delay;
            if wanted.is_empty() {
                return;
            }
            Errand::Inodes(wanted)
        } else {
            return;
        };
        let (Some(mut requests), places) = (self.surveyor.take(), self.places.clone()) else { return };
        self.surveys.spawn_blocking(move || {
            let findings = survey::run(errand, &mut requests, &places);
            (requests, findings)
        });
    }

    pub(super) fn apply(&mut self, findings: Findings) {
        match findings {
            Findings::Addresses(found) => self.apply_addresses(found),
            Findings::Inodes(asked, Ok(found)) => {
                let start = self.pending.len();
                self.table.set_inodes(&asked, &found, &mut self.pending);
                self.is_stale |= self.pending.len() > start;
                self.search.delay = (self.search.delay * 2).min(SEARCH_MAX);
            }
            Findings::Inodes(_, Err(error)) => {
                self.counts.failures.add(1);
                tracing::debug!(%error, "namespaces of endpoints");
            }
            Findings::Claims(answers) => {
                for (claim, answer) in answers {
                    match answer {
                        Ok(leads) => self.is_stale |= self.book.confirm(claim.ifindex, claim.address, leads),
                        Err(error) => {
                            self.counts.failures.add(1);
                            tracing::debug!(?claim, %error, "cannot look up a route");
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
                    self.is_stale |= self.book.set_host(list.into_iter().map(|(_, address)| address));
                }
                (Some(id), Ok(list)) => {
                    for link in self.table.links().filter(|link| link.role == Role::Endpoint) {
                        let Some(peer) = link.peer.filter(|peer| peer.netns == Some(id)) else { continue };
                        let here = list.iter().filter(|(ifindex, _)| *ifindex == peer.ifindex);
                        self.is_stale |= self.book.set_configured(link.ifindex, here.map(|&(_, address)| address));
                    }
                }
                // The namespace went away meanwhile, or we may not look into it: what it sends tells.
                (id, Err(error)) => {
                    self.counts.failures.add(1);
                    tracing::debug!(?id, %error, "addresses of a namespace");
                }
            }
        }
    }

    /// Takes in that an endpoint sent from an address that is not known to be its own: perhaps it was configured just
    /// now. Else the host's tables decide; they are asked again at each hint, as they change without a notification.
    pub(super) fn learn(&mut self, hint: Hint) {
        let Hint { ifindex, address } = hint;
        let learned = self.book.learn(ifindex, address, Instant::now());
        let Some(link) = self.table.get(ifindex) else { return };
        match learned {
            Learned::New => self.dirty.extend(link.peer.and_then(|peer| peer.netns).map(Some)),
            Learned::Known => {}
            Learned::Full => return self.counts.learned_refused.add(1),
            Learned::Configured | Learned::Unfit | Learned::Gone => return,
        }
        self.claims.insert(Claim { ifindex, address, bridge: link.master });
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let before = self.departed.len();
        self.departed.retain(|gone| gone.until > now);
        self.is_stale |= self.departed.len() != before || self.book.expire(now);
    }
}
