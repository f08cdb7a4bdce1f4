//! Builds the kernel programs and puts the object where the loader includes it from.
//!
//! Two toolchains do: Debian's `rustc-web` with `libstd-rust-web-dev-bpf` (no nightly needed), or rustup's nightly with
//! `rust-src`. `EYEPIECE_EBPF_OBJECT` names a ready-made object instead.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "bpfel-unknown-none";
const BINARY: &str = "eyepiece-ebpf";
/// v3 has the 32-bit and atomic instructions that the programs use. Without the linker's own way to expand copies, small
/// ones and zeroing become plain stores; with it, each calls a loop over single bytes.
const FLAGS: &[&str] = &[
    "-Clinker=bpf-linker",
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "-Clink-arg=--disable-expand-memcpy-in-order",
    "-Ctarget-cpu=v3",
    "-Cpanic=abort",
];
const SETUP: &str = "run `sh tests/setup.sh build` first (or `make build`, which does it)";

fn main() {
    println!("cargo::rerun-if-env-changed=EYEPIECE_EBPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let object = out.join(BINARY);
    if let Some(ready) = env::var_os("EYEPIECE_EBPF_OBJECT") {
        copy(Path::new(&ready), &object);
        return;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../ebpf");
    for watched in ["src", "wire/src", "Cargo.toml", "Cargo.lock", "wire/Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let target_dir = out.join("ebpf");
    let mut command = toolchain();
    command
        .current_dir(&root)
        .args(["build", "--locked", "--release", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => fail(&format!("the kernel programs do not build:\n{}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => fail(&format!("cannot start {command:?}: {error}")),
    }
    copy(&target_dir.join(TARGET).join("release").join(BINARY), &object);
}

/// A cargo that can build for the kernel, its environment free of what this build's cargo put there.
fn toolchain() -> Command {
    if find("bpf-linker").is_none() {
        fail(&format!("bpf-linker is missing: {SETUP}"));
    }
    let mut command = if Path::new("/usr/lib/rustlib/bpfel-unknown-none").is_dir() {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The target's `core` is there ready-made; the flag allows the few unstable features that kernel code needs.
        command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        command
    } else if nightly_has_source() {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "-Zbuild-std=core"]).env_remove("RUSTC");
        command
    } else {
        fail(&format!("no compiler for kernel programs (Debian's rustc-web, or nightly with rust-src): {SETUP}"));
    };
    for name in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "RUSTDOCFLAGS",
        "CLIPPY_ARGS",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_PROFILE_RELEASE_PANIC",
        // Incremental builds cut the code into units, and the verifier refuses what then becomes of it.
        "CARGO_INCREMENTAL",
    ] {
        command.env_remove(name);
    }
    command
}

fn nightly_has_source() -> bool {
    let sysroot = Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]).output();
    sysroot.is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").is_dir()
    })
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn copy(from: &Path, to: &Path) {
    println!("cargo::rerun-if-changed={}", from.display());
    if let Err(error) = std::fs::copy(from, to) {
        fail(&format!("cannot copy {} to {}: {error}", from.display(), to.display()));
    }
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    exit(1);
}
