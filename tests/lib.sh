# What the project's scripts share: messages, the folder of the peers, the search for Go. Sourced, not run.
# shellcheck shell=bash

# Where the peers and tools for tests are kept: outside the tree, so that a clean clone finds them again.
peers_folder() {
    printf '%s\n' "${EYEPIECE_PEERS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/eyepiece/peers}"
}

# Prints what happens now.
log() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Ends with a message.
fail() {
    log "error: $*"
    exit 1
}

# Runs a step: prints its name, keeps its output, and shows that output only where the step fails.
step() {
    local name=$1 log start=$SECONDS
    shift
    log=$(mktemp)
    log "$name …"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        fail "step failed: $name (its last lines are above)"
    fi
    rm -f "$log"
    log "$name: done in $((SECONDS - start)) s"
}

# rustup's programs, where the shell that calls has not read its profile.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"
fi
# Debian keeps iptables, nft and the like in sbin, which is not in every root's PATH.
case ":$PATH:" in
*:/usr/sbin:*) ;;
*) PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" ;;
esac
export PATH

# Whether the version in $1 is at least that in $2.
version_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Prints the folder of a Go that is new enough ($1 = version wanted): the one in PATH, else the one we fetched.
go_folder() {
    local candidate version
    for candidate in "$(command -v go || true)" "$(peers_folder)/go/bin/go"; do
        [ -x "$candidate" ] || continue
        # Not "go version" in this folder: a go.mod nearby or GOTOOLCHAIN may answer for another toolchain.
        version=$(cd / && GOTOOLCHAIN=local "$candidate" env GOVERSION 2>/dev/null) || continue
        if version_at_least "${version#go}" "$1"; then
            dirname "$candidate"
            return
        fi
    done
    return 1
}
