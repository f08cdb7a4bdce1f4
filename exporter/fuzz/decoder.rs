//! The decoder's modules at the root of a fuzz target: by themselves, for they know nothing of the program around them,
//! which takes long to build. Paths are those of a file in `fuzz_targets`.

macro_rules! decoder {
    () => {
        decoder! {
            agent_event: "../../src/agent_event.rs",
            debug_event: "../../src/debug_event.rs",
            details: "../../src/details.rs",
            event: "../../src/event.rs",
            flow: "../../src/flow/mod.rs",
            gob: "../../src/gob/mod.rs",
            l7: "../../src/l7.rs",
            observed: "../../src/observed.rs",
            parser: "../../src/parser/mod.rs",
            release: "../../src/release.rs",
            symbols: "../../src/symbols.rs",
        }
    };
    ($($name:ident: $path:literal,)+) => {
        $(
            #[allow(dead_code, unused_imports, reason = "the target calls the decoder alone")]
            #[path = $path]
            mod $name;
        )+
    };
}
