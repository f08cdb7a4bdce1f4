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

/// Whether programs, each with its Debian package, are installed: the text for [`skip!`](crate::skip!) if one is missing.
///
/// # Errors
/// A sentence that names the program and the package.
pub fn installed(programs: &[(&str, &str)]) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into()]).collect();
    let is_missing = |program: &str| !folders.iter().any(|folder| folder.join(program).is_file());
    match programs.iter().find(|(program, _)| is_missing(program)) {
        Some((program, package)) => Err(format!("there is no {program}: install {package}")),
        None => Ok(()),
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
