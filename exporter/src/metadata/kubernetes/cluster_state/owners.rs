//! Workloads: what owns a pod, up to the object that a person made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::state::{ClusterState, Dropped, MAX_NAME, Names, OwnerRecord, check_limit};
use crate::metadata::kubernetes::objects::Kind;
use eyepiece_flow::metadata::Workload;

/// The owner of an object that controls it.
fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    // A mirror pod belongs to its node, which is no workload.
    let is_valid = |text: &str| !text.is_empty() && text.len() <= MAX_NAME;
    (is_valid(&owner.kind) && is_valid(&owner.name) && owner.kind != "Node").then_some(owner)
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload { name: name.to_owned(), kind: kind.to_owned() }
}

/// The name of the cron job that makes jobs of this name: with minutes since 1970 behind a dash, formerly seconds.
fn cron_job(job: &str) -> Option<&str> {
    let (name, time) = job.rsplit_once('-')?;
    (matches!(time.len(), 8..=10) && time.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

/// The workload of a pod as its own metadata shows it, by the rules of Cilium, and the uid of the owner whose own owner is
/// to be looked up.
pub(super) fn of_pod(metadata: &ObjectMeta) -> (Option<Workload>, Option<&str>) {
    let Some(owner) = controller(metadata) else { return (None, None) };
    let label = |key: &str| metadata.labels.as_ref()?.get(key).filter(|value| !value.is_empty());
    let found = match owner.kind.as_str() {
        "ReplicaSet" => label("pod-template-hash")
            .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
            .map(|name| workload("Deployment", name)),
        "Job" => cron_job(&owner.name).map(|name| workload("CronJob", name)),
        "ReplicationController" => label("deploymentconfig").map(|name| workload("DeploymentConfig", name)),
        _ => None,
    };
    let lookup = matches!(owner.kind.as_str(), "ReplicaSet" | "Job") && owner.uid.len() <= MAX_NAME;
    (found.or_else(|| Some(workload(&owner.kind, &owner.name))), lookup.then_some(&owner.uid))
}

impl ClusterState {
    /// Adds a replica set or job.
    pub(super) fn set_owner(&mut self, kind: Kind, metadata: &ObjectMeta) -> Result<(), Dropped> {
        let Names { uid, name, .. } = Names::of(metadata).ok_or(Dropped::Invalid)?;
        let itself = if kind == Kind::Jobs { "Job" } else { "ReplicaSet" };
        let workload =
            controller(metadata).map_or_else(|| workload(itself, name), |owner| workload(&owner.kind, &owner.name));
        let known = self.owners.get(uid);
        check_limit(known.is_some(), self.owners.len(), self.scope.max_objects)?;
        if known.is_none_or(|known| known.workload != workload) {
            self.stale.owners.insert(uid.into());
        }
        self.owners.insert(uid.into(), OwnerRecord { listing: self.listing(kind), kind, workload });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::cron_job;

    #[test]
    fn cron_jobs_are_known_by_time() {
        for (job, name) in [
            ("backup-28912345", Some("backup")),
            ("a-b-1700000000", Some("a-b")),
            ("backup-2891234", None),
            ("backup-28912345678", None),
            ("backup-2891234x", None),
            ("28912345", None),
        ] {
            assert_eq!(cron_job(job), name, "{job}");
        }
    }
}
