//! The protobuf files against the generated code and against the list of Hubble's fields.

mod fields;
mod generate;

use std::path::{Path, PathBuf};

/// Returns a path in this crate.
fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn committed_code_equals_generated_code() {
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
            "exporter/{name} differs from proto/: EYEPIECE_REGENERATE=1 cargo test --test proto writes it"
        );
    }
}

#[test]
fn descriptors_equal_list_of_fields() {
    let expected = fields::of_list(include_str!("fields.md"));
    let found = fields::of_descriptors(&eyepiece_hubble::proto::descriptors());
    assert!(expected.len() > 700, "the list was not read: {} entries", expected.len());
    let missing: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
}
