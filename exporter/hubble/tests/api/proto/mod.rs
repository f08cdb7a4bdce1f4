//! The protobuf files, the code generated from them, and the list of Hubble's own descriptors.

mod fields;
mod generate;

use std::path::{Path, PathBuf};

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn committed_code_matches_protobuf_files() {
    let generated = generate::all_files(&crate_path("proto"));
    let folder = crate_path("..");
    if std::env::var_os("EYEPIECE_REGENERATE").is_some_and(|value| value == "1") {
        for (name, content) in &generated {
            std::fs::write(folder.join(name), content).expect("the folder can be written");
        }
    }
    assert!(generated.len() > 5, "{:?}", generated.keys());
    for (name, content) in &generated {
        let committed = std::fs::read(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *content,
            "exporter/{name} is not what proto/ gives: EYEPIECE_REGENERATE=1 cargo test --test api writes it"
        );
    }
}

#[test]
fn api_fields_match_hubbles_list() {
    let listed = fields::listed(include_str!("fields.md"));
    let own = fields::own(&eyepiece_hubble::proto::descriptors());
    assert!(listed.len() > 700, "the list was not read: {} entries", listed.len());
    let missing: Vec<_> = listed.difference(&own).collect();
    let more: Vec<_> = own.difference(&listed).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
}
