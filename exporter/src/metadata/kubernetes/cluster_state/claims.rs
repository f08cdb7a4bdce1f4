//! Keys that several objects may lay claim to: of all claims the strongest holds.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::metadata::provider::{Change, Entity, Key, Target};

/// The strength of a claim; the most important criterion comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// A node's address stays its own although a pod reports it.
    pub(super) class: Class,
    /// Whether it is not being deleted.
    pub(super) stays: bool,
    /// When the object was created, in seconds since 1970: the newest has an address that was used again.
    pub(super) created: i64,
}

/// The kind of object that makes a claim, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Service,
    Pod,
    ApiServer,
    Node,
}

#[derive(Clone, Debug)]
struct Claim {
    owner: Arc<str>,
    rank: Rank,
    /// The later one of two equal ranks is the stronger.
    number: u64,
    /// `None`: the target is the pod whose uid is `owner`.
    entity: Option<Arc<Entity>>,
}

impl Claim {
    fn target(&self) -> Target {
        match &self.entity {
            Some(entity) => Target::Entity(Arc::clone(entity)),
            None => Target::Key(Key::Pod(Arc::clone(&self.owner))),
        }
    }
}

/// The claims on a key. Entries are equal if their keys are.
#[derive(Debug)]
struct Entry {
    key: Key,
    best: Claim,
    /// Nearly always empty.
    others: Box<[Claim]>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Borrow<Key> for Box<Entry> {
    fn borrow(&self) -> &Key {
        &self.key
    }
}

/// All claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By their keys. Boxed: a table has up to twice the room that it needs.
    entries: HashSet<Box<Entry>>,
    number: u64,
}

impl Claims {
    /// Makes or changes a claim. Returns the change of the key's target, and the pod that lost the key for good: a
    /// former pod does not get its address back when the next one ends.
    pub(super) fn claim(
        &mut self,
        key: &Key,
        owner: &Arc<str>,
        rank: Rank,
        entity: Option<&Arc<Entity>>,
    ) -> (Option<Change>, Option<Arc<str>>) {
        self.number += 1;
        let mut claim = Claim { owner: Arc::clone(owner), rank, number: self.number, entity: entity.cloned() };
        let (mut claims, before) = self.take(key);
        if let Some(at) = claims.iter().position(|known| known.owner == *owner) {
            // Its place in the order stays: a pod that reports again did not get the address again.
            claim.number = claims.swap_remove(at).number;
        }
        claims.push(claim);
        let change = self.put(key, claims, before.clone());
        let lost = match (before, &change) {
            (Some(Target::Key(Key::Pod(former))), Some(Change::Set(_, Target::Key(_)))) => Some(former),
            _ => None,
        };
        if let Some(former) = &lost
            && let Some(mut entry) = self.entries.take(key)
        {
            let others = std::mem::take(&mut entry.others).into_iter();
            entry.others = others.filter(|claim| claim.owner != *former).collect();
            self.entries.insert(entry);
        }
        (change, lost)
    }

    /// Drops a claim. Returns the change of the key's target.
    pub(super) fn release(&mut self, key: &Key, owner: &str) -> Option<Change> {
        let (mut claims, before) = self.take(key);
        claims.retain(|claim| &*claim.owner != owner);
        self.put(key, claims, before)
    }

    fn take(&mut self, key: &Key) -> (Vec<Claim>, Option<Target>) {
        let Some(entry) = self.entries.take(key) else { return (Vec::new(), None) };
        let Entry { best, others, .. } = *entry;
        let (mut claims, target) = (others.into_vec(), best.target());
        claims.push(best);
        (claims, Some(target))
    }

    fn put(&mut self, key: &Key, mut claims: Vec<Claim>, before: Option<Target>) -> Option<Change> {
        let best = (0..claims.len()).max_by_key(|&at| claims.get(at).map(|claim| (claim.rank, claim.number)));
        let Some(at) = best else { return before.map(|_| Change::Remove(key.clone())) };
        let best = claims.swap_remove(at);
        let after = best.target();
        self.entries.insert(Box::new(Entry { key: key.clone(), best, others: claims.into() }));
        (before.as_ref() != Some(&after)).then(|| Change::Set(key.clone(), after))
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Class, Rank};
    use crate::metadata::provider::{Change, Key, Target};

    #[test]
    fn newest_claim_holds_key() {
        let mut claims = Claims::default();
        let key = Key::Address([10, 0, 0, 1].into());
        let rank = |stays, created| Rank { class: Class::Pod, stays, created };
        let leads_to = |owner: &str| Some(Change::Set(key.clone(), Target::Key(Key::Pod(owner.into()))));
        let (old, new, twin) = (&"old".into(), &"new".into(), &"twin".into());
        assert_eq!(claims.claim(&key, old, rank(true, 5), None), (leads_to("old"), None));
        assert_eq!(claims.claim(&key, new, rank(true, 6), None), (leads_to("new"), Some("old".into())));
        assert_eq!(claims.claim(&key, twin, rank(true, 5), None), (None, None), "an older pod");
        assert_eq!(
            claims.claim(&key, new, rank(false, 6), None),
            (leads_to("twin"), Some("new".into())),
            "it is deleted"
        );
        assert_eq!(
            claims.claim(&key, old, rank(true, 5), None),
            (leads_to("old"), Some("twin".into())),
            "the later twin"
        );
        assert_eq!(claims.claim(&key, twin, rank(false, 7), None), (None, None));
        assert_eq!(claims.release(&key, "twin"), None);
        assert_eq!(claims.release(&key, "old"), Some(Change::Remove(key.clone())));
        assert_eq!(claims.release(&key, "old"), None);
    }
}
