//! The paths of the real peers that `tests/peers/build.sh` has built.

use std::path::PathBuf;

/// The folder of the peers: `EYEPIECE_PEERS`, else `eyepiece/peers` in the user's cache, as in `tests/lib.sh`.
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EYEPIECE_PEERS").unwrap_or_else(|| {
        set("XDG_CACHE_HOME")
            .unwrap_or_else(|| set("HOME").unwrap_or_else(|| "/root".into()).join(".cache"))
            .join("eyepiece/peers")
    })
}

/// The program of a peer (`otelcol`), or the reason that it is missing: the text for [`skip!`](crate::skip!).
///
/// # Errors
/// A sentence that names the peer and what builds it.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let path = folder().join("bin").join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("the peer {name} is not at {}: run tests/peers/build.sh", path.display()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn missing_peer_is_named() {
        let error = super::find("no-such-peer").expect_err("an unknown peer");
        assert!(error.contains("no-such-peer") && error.contains("build.sh"), "{error}");
    }
}
