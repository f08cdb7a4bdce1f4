//! Free, stale, live and foreign paths, and permissions.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Config, ListenError, pin, set_group, set_mode};
use crate::support::file_lock;

fn config(path: &Path) -> Config {
    Config { path: path.to_owned(), mode: 0o600, group: None }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    (folder, path)
}

#[tokio::test]
async fn free_path_is_free_again() {
    let (_folder, path) = place();
    for mode in [0o600, 0o660, 0o666, 0o000] {
        let listener = Config { mode, ..config(&path) }.listen().await.unwrap();
        assert_eq!(listener.path(), path);
        assert_eq!(path.symlink_metadata().unwrap().permissions().mode() & 0o7777, mode);
        drop(listener);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn clients_are_accepted() {
    let (_folder, path) = place();
    let listener = config(&path).listen().await.unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (stream, _) = listener.socket().accept().await.unwrap();
    drop(client);
    assert_eq!(stream.peer_cred().unwrap().pid(), Some(std::process::id() as i32));
}

#[tokio::test]
async fn group_is_set() {
    let (_folder, path) = place();
    let own = nix::unistd::getegid();
    let listener = Config { group: Some(own), ..config(&path) }.listen().await.unwrap();
    assert_eq!(path.symlink_metadata().unwrap().gid(), own.as_raw());
    drop(listener);
    if nix::unistd::geteuid().is_root() {
        let listener = Config { group: Some(4711.into()), ..config(&path) }.listen().await.unwrap();
        assert_eq!(path.symlink_metadata().unwrap().gid(), 4711);
        drop(listener);
    }
    assert_eq!(super::group("no-such-group-4711").unwrap(), None);
    for (text, number) in [
        ("0", Some(0)),
        ("4711", Some(4711)),
        ("4294967294", Some(4_294_967_294)),
        ("4294967295", None),
        ("4294967296", None),
        ("-1", None),
        ("+1", None),
        ("", None),
    ] {
        assert_eq!(super::group(text).unwrap().map(nix::unistd::Gid::as_raw), number, "{text}");
    }
    assert_eq!(super::group("root").unwrap().map(nix::unistd::Gid::as_raw), Some(0));
}

#[tokio::test]
async fn stale_socket_is_replaced() {
    let (_folder, path) = place();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = config(&path).listen().await.unwrap();
    UnixStream::connect(&path).unwrap();
    drop(listener);
}

#[tokio::test]
async fn live_socket_stays_with_owner_named() {
    let (_folder, path) = place();
    let other = UnixListener::bind(&path).unwrap();
    let error = config(&path).listen().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ListenError::InUse { pid: Some(pid), .. } if pid == std::process::id() as i32), "{text}");
    assert!(text.contains(path.to_str().unwrap()) && text.contains(&std::process::id().to_string()), "{text}");
    other.accept().unwrap();
    UnixStream::connect(&path).unwrap();
    other.accept().unwrap();
}

#[tokio::test]
async fn socket_with_full_queue_is_live() {
    let (_folder, path) = place();
    let other = tokio::net::UnixSocket::new_stream().unwrap();
    other.bind(&path).unwrap();
    let _other = other.listen(0).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    let error = config(&path).listen().await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { pid: None, .. }), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn other_files_stay() {
    let (folder, path) = place();
    std::fs::write(&path, "precious").unwrap();
    let error = config(&path).listen().await.unwrap_err();
    assert!(matches!(error, ListenError::NoSocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let link = folder.path().join("link.sock");
    symlink(folder.path().join("nothing"), &link).unwrap();
    assert!(matches!(config(&link).listen().await.unwrap_err(), ListenError::NoSocket { .. }));

    let datagram = folder.path().join("datagram.sock");
    let _other = UnixDatagram::bind(&datagram).unwrap();
    let error = config(&datagram).listen().await.unwrap_err();
    assert!(matches!(error, ListenError::Unclear { .. }), "{error}");
    assert!(datagram.exists());
}

#[tokio::test]
async fn replaced_path_stays_on_drop() {
    let (_folder, path) = place();
    let listener = config(&path).listen().await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(listener);
    UnixStream::connect(&path).unwrap();
    other.accept().unwrap();
}

#[tokio::test]
async fn missing_folder_is_named() {
    let (folder, _) = place();
    let error = config(&folder.path().join("no/a.sock")).listen().await.unwrap_err();
    assert!(error.to_string().contains("/no/a.sock: cannot find its folder: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_binds() {
    let (_folder, path) = place();
    drop(UnixListener::bind(&path).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        tasks.spawn(config(&path).listen());
    }
    let results = tasks.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 15));
    for error in lost.into_iter().filter_map(Result::err) {
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    }
    UnixStream::connect(&path).unwrap();
}

/// Any user with read permission on a folder can lock it: that must not prevent serving.
#[tokio::test]
async fn folder_locked_by_user_is_served() {
    if !nix::unistd::geteuid().is_root() {
        eyepiece_tests::skip!("another user's process needs root");
    }
    const OTHER_USER: u32 = 65_534;
    let (folder, path) = place();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("flock");
    command.arg("--exclusive").arg(folder.path()).arg("cat").uid(OTHER_USER).gid(OTHER_USER).stdin(Stdio::piped());
    let mut other = command.spawn().unwrap();
    while File::open(folder.path()).unwrap().try_lock().is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let listener = config(&path).listen().await.unwrap();
    UnixStream::connect(&path).unwrap();
    assert!(File::open(folder.path()).unwrap().try_lock().is_err(), "the other process held it all the time");
    drop(listener);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no lock file is left");
    // `cat` ends with its input, and `flock` with `cat`.
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}

#[tokio::test]
async fn lock_held_names_the_socket() {
    let (folder, path) = place();
    let _other = file_lock::take(folder.path().join("a.sock.lock")).unwrap();
    let error = config(&path).listen().await.unwrap_err();
    let expected = format!("cannot listen on {0}: another process holds {0}.lock", path.display());
    assert_eq!(error.to_string(), expected);
}

/// The path may name another file between `bind` and the changes of the file.
#[tokio::test]
async fn replaced_path_keeps_mode_and_group() {
    let (folder, path) = place();
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "").unwrap();
    std::fs::set_permissions(&precious, Permissions::from_mode(0o640)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;

    let _socket = UnixListener::bind(&path).unwrap();
    let file = pin(&path).unwrap();
    let moved = folder.path().join("moved");
    std::fs::rename(&path, &moved).unwrap();
    symlink(&precious, &path).unwrap();
    set_mode(&file, 0o606).unwrap();
    assert_eq!((mode(&precious), mode(&moved)), (0o640, 0o606));
    if nix::unistd::geteuid().is_root() {
        let group = |path: &Path| path.metadata().unwrap().gid();
        let before = group(&precious);
        set_group(&file, Some(4711.into())).unwrap();
        assert_eq!((group(&precious), group(&moved)), (before, 4711));
    }

    assert!(pin(&path).is_err(), "a link");
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&precious, &path).unwrap();
    assert!(pin(&path).is_err(), "another file");
}
