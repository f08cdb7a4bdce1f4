//! Control groups: any text gives an owner, whose id and uid are of their form and whose names are in the text.
#![no_main]

use eyepiece_flow::control_group::{Owner, unified_path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for owner in [Owner::of_path(text), Owner::of_process(text)] {
        match owner {
            Owner::Other => {}
            Owner::Unit { name, .. } => assert!(text.contains(name) && !name.contains('/')),
            Owner::Pod(uid) => check_uid(text, &uid),
            Owner::Container { id, pod } => {
                assert!(text.contains(id) && id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
                pod.iter().for_each(|uid| check_uid(text, uid));
            }
        }
    }
    assert!(unified_path(text).is_none_or(|path| text.contains(path)));
});

fn check_uid(text: &str, uid: &str) {
    assert!(matches!(uid.len(), 32 | 36) && text.replace('_', "-").contains(uid));
}
