//! Reads the files of `tests/vectors`.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;

/// The text of a file; `.gz` is unpacked.
pub fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).expect(name)
}

/// The generated payloads, some of them mutated or cut: in the file each follows its length, a little-endian u32.
pub fn payloads() -> Vec<Vec<u8>> {
    let bytes = bytes("payloads.bin.gz");
    let (mut rest, mut payloads) = (bytes.as_slice(), Vec::new());
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (payload, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
        payloads.push(payload.to_vec());
        rest = tail;
    }
    payloads
}

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    if !name.ends_with(".gz") {
        return file;
    }
    let mut bytes = Vec::new();
    GzDecoder::new(file.as_slice()).read_to_end(&mut bytes).expect(name);
    bytes
}
