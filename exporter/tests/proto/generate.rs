//! Generates the Rust code and the descriptors from the protobuf files, without a `protoc` of the system.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// The packages, each in a file of its name.
const PACKAGES: &[&str] = &["flow", "observer", "peer", "recorder", "relay"];

/// Messages that the server has as bytes, never as generated messages: answers that the observer encoded, and the request
/// that may become far larger than its bytes.
const ENCODED: &[&str] = &["GetFlowsRequest", "GetFlowsResponse", "GetAgentEventsResponse", "GetDebugEventsResponse"];

/// Every generated file of `src/proto`, by name.
pub(crate) fn everything(protos: &Path) -> BTreeMap<String, Vec<u8>> {
    let compiled = |comments| {
        let mut compiler = protox::Compiler::new([protos]).expect("the folder of the protobuf files");
        compiler.include_imports(true).include_source_info(comments);
        for package in PACKAGES {
            let file = format!("{package}/{package}.proto");
            compiler.open_file(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        compiler.file_descriptor_set()
    };
    let mut files = code(&compiled(true));
    files.insert("descriptors.bin".to_owned(), compiled(false).encode_to_vec());
    files
}

/// The Rust code.
fn code(descriptors: &FileDescriptorSet) -> BTreeMap<String, Vec<u8>> {
    let mut descriptors = descriptors.clone();
    descriptors.file.iter_mut().for_each(without_deprecation);
    let messages = generated(descriptors.clone(), tonic_prost_build::configure().build_server(false));
    let mut servers = tonic_prost_build::configure().build_client(false);
    for package in PACKAGES {
        servers = servers.extern_path(format!(".{package}"), format!("crate::proto::{package}"));
    }
    for message in ENCODED {
        servers = servers.extern_path(format!(".observer.{message}"), "crate::proto::Encoded");
    }
    let servers = generated(descriptors, servers);
    let whole = |package: &str| {
        let texts = [messages.get(package), servers.get(package)].into_iter().flatten();
        let text: String = texts.map(|text| without_allowances(text)).collect();
        let first = format!("//! Package {package}, generated from proto/{package}/{package}.proto by tests/proto.\n");
        (format!("{package}.rs"), (first + &text).into_bytes())
    };
    PACKAGES.iter().map(|package| whole(package)).collect()
}

/// What a generator writes, by package.
fn generated(descriptors: FileDescriptorSet, builder: tonic_prost_build::Builder) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = prost_build::Config::new();
    // JSON finds a message's descriptor by its name.
    config.enable_type_names();
    // Who connects, and how, is not these modules' work.
    let builder = builder.build_transport(false).out_dir(folder.path()).emit_rerun_if_changed(false);
    builder.compile_fds_with_config(descriptors, config).expect("code is generated");
    let read = |package: &&str| {
        let text = std::fs::read_to_string(folder.path().join(format!("{package}.rs"))).ok()?;
        Some(((*package).to_owned(), text))
    };
    PACKAGES.iter().filter_map(read).collect()
}

/// Whoever speaks to clients fills in deprecated fields too: they are no reason to warn. The descriptors keep the mark.
fn without_deprecation(file: &mut prost_types::FileDescriptorProto) {
    fn message(of: &mut DescriptorProto) {
        of.options = None;
        of.field.iter_mut().for_each(|field| field.options = None);
        of.nested_type.iter_mut().for_each(message);
        of.enum_type.iter_mut().flat_map(|of| &mut of.value).for_each(|value| value.options = None);
    }
    if PACKAGES.contains(&file.package()) {
        file.message_type.iter_mut().for_each(message);
        file.enum_type.iter_mut().flat_map(|of| &mut of.value).for_each(|value| value.options = None);
    }
}

/// A text without the generator's own `allow(…)`: the module's allowance covers it, with its reason.
fn without_allowances(text: &str) -> String {
    let (mut rest, mut kept) = (text, String::new());
    let next = |text: &str| ["#![allow(", "#[allow("].iter().filter_map(|allow| text.find(allow)).min();
    while let Some(at) = next(rest) {
        kept.push_str(rest[..at].trim_end_matches(' '));
        rest = rest[at..].split_once(")]\n").expect("the attribute ends").1;
    }
    kept + rest
}
