#!/usr/bin/env bash
# Builds the real peers that tests run against, once, into a cache folder; does nothing where they are there.
#
#   tests/peers/build.sh          every peer
#   tests/peers/build.sh NAME …   only these
#   tests/peers/build.sh --check  prints which are missing or of another version; exit code 1 if any
#
# A peer NAME is: a function build_NAME that leaves the program as $1/NAME, and a line in `inputs` with the version and
# the files that decide what is built. It becomes $EYEPIECE_PEERS/bin/NAME (default ~/.cache/eyepiece/peers).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/../lib.sh"
# shellcheck source=tests/peers/versions
. "$here/versions"

all=(otelcol harness packets hubble-metrics cilium-dbg hubble hubble-relay grpcurl kube-apiserver kubectl kubelet
    docker-compose)

# What decides a peer's contents: its version, then the files beside this script that are hashed into its stamp.
inputs() {
    case $1 in
    otelcol) echo "$COLLECTOR collector/manifest.yaml" ;;
    harness) echo "$CILIUM $(cd "$here" && echo harness/*.go)" ;;
    packets) echo "$GOPACKET $(cd "$here" && echo packets/*.go)" ;;
    hubble-metrics) echo "$CILIUM_NEWEST $(cd "$here" && echo hubble-metrics/*.go)" ;;
    cilium-dbg | hubble-relay) echo "$CILIUM" ;;
    hubble) echo "$HUBBLE" ;;
    grpcurl) echo "$GRPCURL" ;;
    kube-apiserver | kubectl | kubelet) echo "$KUBERNETES" ;;
    docker-compose) echo "$COMPOSE" ;;
    *) fail "unknown peer: $1 (known: ${all[*]})" ;;
    esac
}

# The stamp a peer has when it is what this tree wants.
stamp() {
    local version files
    read -r version files <<<"$(inputs "$1")"
    # shellcheck disable=SC2086 # a list of files, none with blanks in its name
    printf '%s %s %s\n' "$1" "$version" "$(cd "$here" && cat /dev/null $files | sha256sum | cut -c 1-16)"
}

is_built() {
    [ -x "$folder/bin/$1" ] && [ "$(cat "$folder/$1.stamp" 2>/dev/null)" = "$(stamp "$1")" ]
}

# The builder's own `go mod tidy` fails on a dependency that only tests have: its exit code means nothing, so what it
# has written is checked instead.
build_otelcol() {
    local work=$1 builder="$1/builder"
    GOBIN="$builder" go install "go.opentelemetry.io/collector/cmd/builder@v$COLLECTOR"
    sed "s/@VERSION@/$COLLECTOR/" "$here/collector/manifest.yaml" >"$work/manifest.yaml"
    (cd "$work" && "$builder/builder" --config manifest.yaml --skip-compilation) || echo "(tidy failed, as expected)"
    [ -f "$work/out/main.go" ] || { echo "the builder wrote no main.go"; return 1; }
    (cd "$work/out" && go build -mod=mod -trimpath -ldflags '-s -w' -o "$work/otelcol" .)
}

# Prints the folder of a module's files (PATH@vVERSION).
module_folder() {
    go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# Leaves in the folder $1 a module that has $2 (PATH@vVERSION) as a library: its go.mod has `replace` lines, which only
# the main module's count of, so they become the main module's.
wrapper_module() {
    local module=$2 upstream
    upstream=$(module_folder "$module")
    [ -f "$upstream/go.mod" ] || { echo "no $module"; return 1; }
    mkdir -p "$1"
    sed 's/^module .*/module eyepiece\/harness/' "$upstream/go.mod" >"$1/go.mod"
    echo "require ${module/@/ }" >>"$1/go.mod"
    cp "$upstream/go.sum" "$1/go.sum"
    chmod u+w "$1/go.sum"
}

cilium_module() {
    wrapper_module "$1" "github.com/cilium/cilium@v$CILIUM"
}

# Builds the program $2 of ours in the module $1: it is held to Go's form and its vet, too.
ours() {
    local unformatted
    cp "$here/$2"/*.go "$1/module/"
    unformatted=$(gofmt -l "$1/module")
    [ -z "$unformatted" ] || { echo "gofmt would change $unformatted"; return 1; }
    (cd "$1/module" && go vet -mod=mod . && go build -mod=mod -ldflags '-s -w' -o "$1/$2" .)
}

build_harness() {
    cilium_module "$1/module"
    ours "$1" harness
}

build_packets() {
    mkdir "$1/module"
    (cd "$1/module" && go mod init eyepiece/packets && go get "github.com/gopacket/gopacket@v$GOPACKET")
    ours "$1" packets
}

# The program carries the dashboards of the module.
build_hubble-metrics() {
    local module="github.com/cilium/cilium@v$CILIUM_NEWEST"
    wrapper_module "$1/module" "$module"
    mkdir "$1/module/dashboards"
    # Modules that its metrics do not need: the module proxy lacks the versions that Cilium names.
    local absent
    for absent in github.com/osrg/gobgp/v4 sigs.k8s.io/controller-tools sigs.k8s.io/mcs-api/{conformance,controllers}; do
        mkdir -p "$1/absent/$absent"
        echo "module $absent" >"$1/absent/$absent/go.mod"
        sed -i "\\#^\\(replace\\)\\?[[:space:]]*$absent =>#d" "$1/module/go.mod"
        echo "replace $absent => $1/absent/$absent" >>"$1/module/go.mod"
    done
    cp "$(module_folder "$module")"/install/kubernetes/cilium/files/hubble/dashboards/*.json "$1/module/dashboards/"
    ours "$1" hubble-metrics
}

build_cilium-dbg() {
    cilium_module "$1/module"
    (cd "$1/module" && go build -mod=mod -ldflags '-s -w' -o "$1/cilium-dbg" github.com/cilium/cilium/cilium-dbg)
}

build_hubble-relay() {
    cilium_module "$1/module"
    (cd "$1/module" && go build -mod=mod -ldflags '-s -w' -o "$1/hubble-relay" github.com/cilium/cilium/hubble-relay)
}

build_hubble() {
    wrapper_module "$1/module" "github.com/cilium/hubble@v$HUBBLE"
    (cd "$1/module" && go build -mod=mod -ldflags "-s -w -X github.com/cilium/hubble/pkg.Version=$HUBBLE" \
        -o "$1/hubble" github.com/cilium/hubble)
}

build_grpcurl() {
    GOBIN="$1" go install -ldflags "-s -w -X main.version=$GRPCURL" "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$GRPCURL"
}

# Builds the program $2 of Kubernetes. Its own go.mod leads to modules beside it, which are published under v0.
kubernetes() {
    wrapper_module "$1/module" "k8s.io/kubernetes@v$KUBERNETES"
    sed -i "s#=> ./staging/src/\(.*\)#=> \1 v0.${KUBERNETES#*.}#" "$1/module/go.mod"
    (cd "$1/module" && go build -mod=mod -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES" \
        -o "$1/$2" "k8s.io/kubernetes/cmd/$2")
}

build_kube-apiserver() {
    kubernetes "$1" kube-apiserver
}

build_kubectl() {
    kubernetes "$1" kubectl
}

build_kubelet() {
    kubernetes "$1" kubelet
}

build_docker-compose() {
    wrapper_module "$1/module" "github.com/docker/compose/v2@v$COMPOSE"
    (cd "$1/module" && go build -mod=mod -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=v$COMPOSE" \
        -o "$1/docker-compose" github.com/docker/compose/v2/cmd)
}

build() {
    local name=$1 work
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "chmod -R u+w '$work'; rm -rf '$work'" EXIT
    # `step` runs it as a condition, where `set -e` does not hold: a shell of its own keeps it.
    step "building peer $name" bash -euo pipefail -c "
        $(declare -f "build_$name" module_folder wrapper_module cilium_module ours kubernetes)
        here='$here' COLLECTOR='$COLLECTOR' CILIUM='$CILIUM' CILIUM_NEWEST='$CILIUM_NEWEST' HUBBLE='$HUBBLE'
        GRPCURL='$GRPCURL' GOPACKET='$GOPACKET' KUBERNETES='$KUBERNETES' COMPOSE='$COMPOSE'
        build_$name '$work'"
    install -D -m 755 "$work/$name" "$folder/bin/.$name.new"
    mv "$folder/bin/.$name.new" "$folder/bin/$name"
    stamp "$name" >"$folder/$name.stamp"
    chmod -R u+w "$work"
    rm -rf "$work"
    trap - EXIT
}

folder=$(peers_folder)
check=
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
missing=()
for name in "${@:-${all[@]}}"; do
    inputs "$name" >/dev/null
    is_built "$name" || missing+=("$name")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ -n "$check" ]; then
    log "missing or of another version: ${missing[*]}"
    exit 1
fi

go_bin=$(go_folder "$GO_LEAST") || fail "Go $GO_LEAST or newer is needed to build ${missing[*]}: run tests/setup.sh test"
export PATH="$go_bin:$PATH"
# No cgo: the programs run wherever the tests do. The modules' own toolchain lines may ask for a newer Go.
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off
mkdir -p "$folder"
# Two checkouts may build at once: the second waits, and finds the first's work.
exec 9>"$folder/.lock"
flock 9
for name in "${missing[@]}"; do
    is_built "$name" || build "$name"
done
