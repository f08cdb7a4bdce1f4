//! The way to the API server: as a pod by its service account, or by a kubeconfig.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::support::error_chain::error_chain;

/// Set in every container of a pod.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
/// Holds the pod's credentials, where it has some.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Returns whether this process runs in a pod that may ask the API server.
pub(super) fn is_in_cluster() -> bool {
    std::env::var_os(SERVICE_HOST).is_some() && Path::new(TOKEN).exists()
}

/// Reads a kubeconfig and the files of certificates that it names.
async fn read(path: &Path) -> Result<Config, String> {
    let failed = |error| format!("cannot read kubeconfig {}: {}", path.display(), error_chain(&error));
    let file = Kubeconfig::read_from(path).map_err(failed)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)
}

/// Checks a kubeconfig without a connection. It blocks, and must not be called on a runtime.
///
/// # Errors
/// The kubeconfig is missing, or it or a file that it names cannot be read.
pub(crate) fn check_kubeconfig(path: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| format!("cannot read kubeconfig {}: {error}", path.display()))?;
    runtime.block_on(read(path)).map(drop)
}

/// Returns a client. Its credentials are read again as they change.
///
/// # Errors
/// The kubeconfig or the pod's service account is missing or cannot be read.
pub(super) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, String> {
    let mut config = match kubeconfig {
        Some(path) => read(path).await?,
        None => Config::incluster().map_err(|error| {
            format!("cannot use the pod's service account: {}; set metadata.kubernetes.kubeconfig", error_chain(&error))
        })?,
    };
    // Pauses after failures are ours.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    Client::try_from(config).map_err(|error| format!("cannot connect to {server}: {}", error_chain(&error)))
}
