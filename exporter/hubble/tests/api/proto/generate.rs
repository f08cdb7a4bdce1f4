//! Generates the Rust code and the descriptors from the protobuf files, without the system's `protoc`.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// The packages in the descriptors, each in a file of its name.
const DESCRIBED: &[&str] = &["flow", "observer", "peer", "recorder", "relay"];
/// The packages with Rust code: eyepiece does not serve the recorder.
const PACKAGES: &[&str] = &["flow", "observer", "peer", "relay"];

/// Messages that the server has as bytes: responses that the observer encodes, and the request, which is counted before it
/// is decoded.
const ENCODED: &[&str] = &["GetFlowsRequest", "GetFlowsResponse", "GetAgentEventsResponse", "GetDebugEventsResponse"];

/// Generates all files, by their path below `exporter/`.
pub(crate) fn all_files(protos: &Path) -> BTreeMap<String, Vec<u8>> {
    let compiled = |comments| {
        let mut compiler = protox::Compiler::new([protos]).expect("the folder of the protobuf files");
        compiler.include_imports(true).include_source_info(comments);
        for package in DESCRIBED {
            let file = format!("{package}/{package}.proto");
            compiler.open_file(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        compiler.file_descriptor_set()
    };
    let mut files = code(&compiled(true));
    files.insert("hubble/src/proto/descriptors.bin".to_owned(), compiled(false).encode_to_vec());
    files
}

/// Generates the Rust code: messages in this crate, clients and servers in `eyepiece`.
fn code(descriptors: &FileDescriptorSet) -> BTreeMap<String, Vec<u8>> {
    let mut descriptors = descriptors.clone();
    descriptors.file.iter_mut().for_each(without_deprecation);
    let configure = || tonic_prost_build::configure().build_client(false).build_server(false);
    let messages = generated(descriptors.clone(), configure());
    let of_hubble = |mut builder: tonic_prost_build::Builder| {
        for package in PACKAGES {
            builder = builder.extern_path(format!(".{package}"), format!("::eyepiece_hubble::proto::{package}"));
        }
        builder
    };
    let clients = generated(descriptors.clone(), of_hubble(configure().build_client(true)));
    let mut servers = of_hubble(configure().build_server(true));
    for message in ENCODED {
        servers = servers.extern_path(format!(".observer.{message}"), "::eyepiece_hubble::proto::Encoded");
    }
    let servers = generated(descriptors, servers);
    let mut files = BTreeMap::new();
    for package in PACKAGES {
        for (folder, parts) in [("hubble/src/proto", &[&messages][..]), ("src/services", &[&clients, &servers])] {
            let text: String =
                parts.iter().filter_map(|part| part.get(*package)).map(|text| without_allowances(text)).collect();
            if !text.is_empty() {
                let first = format!(
                    "//! Package {package}, generated from hubble/proto/{package}/{package}.proto by hubble/tests/api/proto.\n"
                );
                files.insert(format!("{folder}/{package}.rs"), (first + &text).into_bytes());
            }
        }
    }
    files
}

/// Runs a generator; returns its code by package.
fn generated(descriptors: FileDescriptorSet, builder: tonic_prost_build::Builder) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = prost_build::Config::new();
    // JSON finds a message's descriptor by its name.
    config.enable_type_names();
    // The modules do not connect.
    let builder = builder.build_transport(false).out_dir(folder.path()).emit_rerun_if_changed(false);
    builder.compile_fds_with_config(descriptors, config).expect("code is generated");
    let read = |package: &&str| {
        let text = std::fs::read_to_string(folder.path().join(format!("{package}.rs"))).ok()?;
        Some(((*package).to_owned(), text))
    };
    PACKAGES.iter().filter_map(read).collect()
}

/// The server fills in deprecated fields too: they are no reason to warn. The descriptors keep the mark.
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

/// Removes the generator's own `allow(…)`: the module's covers it, with a reason.
fn without_allowances(text: &str) -> String {
    let (mut rest, mut kept) = (text, String::new());
    let next = |text: &str| ["#![allow(", "#[allow("].iter().filter_map(|allow| text.find(allow)).min();
    while let Some(at) = next(rest) {
        kept.push_str(rest[..at].trim_end_matches(' '));
        rest = rest[at..].split_once(")]\n").expect("the attribute ends").1;
    }
    kept + rest
}
