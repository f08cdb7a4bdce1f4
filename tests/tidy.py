#!/usr/bin/env python3
"""Checks the rules of ARCHITECTURE.md for source files that neither the compiler, clippy nor cargo-deny checks."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

CRATES = ["exporter", "exporter/flow", "exporter/hubble", "config", "semconv", "ebpf/wire", "ebpf", "tests"]
# Files that may be longer than 500 lines: tables and generated code.
LONG = r"config/src/keys\.rs|exporter/flow/src/names\.rs|exporter/(hubble/src/proto|src/services)/\w+\.rs|semconv/src/generated\.rs"
# Names of the schema are spelled in semconv alone; these are keys of the configuration.
SCHEMA = r'"((?:client|container|destination|eyepiece|host|hubble|k8s|log\.record|network|os|otel|server|service|source|telemetry)\.[a-z0-9_.]*[a-z0-9_]|error\.type)"'
KEYS = r"hubble\.(group|listen|peers|ring|tls)|log\.(format|level)|source\.kind"

files = {path: Path(path).read_text() for path in subprocess.check_output(["git", "ls-files", "*.rs"], text=True).split()}
found = []


def code(path):
    """The file without comments and without what follows `#[cfg(test)] mod tests`; empty for test files."""
    if re.search(r"(^|/)(tests|benches|fuzz)(/|\.rs$)", path):
        return ""
    text = re.split(r"^#\[cfg\(test\)\]\n(?:#\[.*\n)*mod \w+ \{", files[path], flags=re.M)[0]
    text = re.sub(r"\bpub\(in [^)]*\)", "pub", text)
    return re.sub(r"//.*|#\[cfg\(test\)\]\n(?:#\[.*\n)*.*;", "", text)


def branches(tree):
    """Every path of a use tree: `a::{b, c::d}` gives `a::b` and `a::c::d`."""
    head, brace, inner = tree.partition("{")
    if not brace:
        return [re.sub(r"\s+as\s+\w+", "", tree).strip()]
    paths, part, depth = [], "", 0
    for c in inner.rpartition("}")[0] + ",":
        depth += (c == "{") - (c == "}")
        if c == "," and depth == 0:
            paths += [head.strip() + path for path in branches(part)] if part.strip() else []
            part = ""
        else:
            part += c
    return paths


def circles(crate):
    """Groups of modules of a crate that use each other."""
    modules = {}
    for path in files:
        if path.startswith(crate + "/src/"):
            name = re.sub(r"/mod$", "", path[len(crate) + 5 : -3])
            modules[() if name in ("lib", "main") else tuple(name.split("/"))] = path
    uses = {}
    for module, path in modules.items():
        text = code(path)
        children = {name[-1] for name in modules if name and name[:-1] == module}
        paths = [path for tree in re.findall(r"^\s*use\s+([^;]+);", text, re.M) for path in branches(tree)]
        paths += re.findall(r"\b\w+(?:::\w+)+", re.sub(r"^\s*(pub\S* )?use\s+[^;]+;", "", text, flags=re.M))
        uses[module] = set()
        for names in (path.split("::") for path in paths):
            at = () if names[0] == "crate" else module if names[0] in children | {"self"} else None
            names = names[1:] if names[0] in ("crate", "self") else names
            while names and names[0] == "super":
                at, names = (module if at is None else at)[:-1], names[1:]
            while at is not None and names and at + (names[0],) in modules:
                at, names = at + (names[0],), names[1:]
            if at and at != module:
                uses[module].add(at)

    def reached(start):
        seen, rest = set(), [start]
        while rest:
            new = uses[rest.pop()] - seen
            seen |= new
            rest += new
        return seen

    reach = {module: reached(module) for module in modules}
    groups = {frozenset(m for m in reach[module] if module in reach[m]) for module in modules if module in reach[module]}
    return [sorted("::".join(module) for module in group) for group in groups]


for path, text in files.items():
    if not re.match(r"//! \S", text):
        found.append(f"{path}:1: the first line must be `//! ` and what the file is for")
    if text.count("\n") > 500 and not re.fullmatch(LONG, path):
        found.append(f"{path}: more than 500 lines")
    fence = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|#\[ignore", line):
            found.append(f"{path}:{number}: unfinished, or an ignored test")
        if re.match(r"\s*//[/!] ```(rust|should_panic|no_run)?$", line) and not fence:
            found.append(f"{path}:{number}: an example that nothing runs: make it a test")
        fence ^= bool(re.match(r"\s*//[/!] ```", line))
    if re.match(r"exporter/(src|flow|hubble)/", path):
        for name in re.findall(SCHEMA, code(path)):
            if not re.match(KEYS, name):
                found.append(f"{path}: \"{name}\": use the constant of semconv")
    if not re.match(r"ebpf/|exporter/(src/source/datapath|benches/|build\.rs)", path) and re.search(r"\baya\w*::", code(path)):
        found.append(f"{path}: only source/datapath and ebpf know aya")

exporter = "".join(text for path, text in files.items() if path.startswith("exporter/src/"))
for name in re.findall(r"pub const (\w+): Metric = Metric \{", files["semconv/src/generated.rs"]):
    if not re.search(rf"metric::{name}\b", exporter):
        found.append(f"semconv: nothing exports the metric {name}")

if tomllib.loads(Path("Cargo.toml").read_text())["profile"]["release"].get("strip") not in ("debuginfo", "symbols", True):
    found.append("Cargo.toml: the release profile must strip debug info, which is most of the program's size")

for crate in CRATES:
    found += [f"{crate}: import circle of {', '.join(group)}" for group in circles(crate)]

print("\n".join(found))
sys.exit(bool(found))
