//! Skips a test that can't run here: the run lists it at its end instead of counting it as passed.

use std::io::Write;

/// The environment variable that names the file which collects skips; `tests/run.sh` sets it.
pub const SKIPS_FILE: &str = "EYEPIECE_SKIPS";

/// Skips the test that calls it: records the name and the reason (formatted as by [`format!`]), and returns.
///
/// Only for what this machine lacks: a privilege, a peer. In CI a skip is a failure.
#[macro_export]
macro_rules! skip {
    ($($why:tt)+) => {{
        fn here() {}
        $crate::skip::record(&$crate::skip::test_name(&here), &format!($($why)+));
        return $crate::skip::Skipped::skipped();
    }};
}

/// The programs of these peers, in this order; skips the test that calls it unless all are there.
#[macro_export]
macro_rules! needs_peers {
    ($($name:expr),+) => {
        [$(match $crate::peer::find($name) {
            Ok(program) => program,
            Err(why) => $crate::skip!("{why}"),
        }),+]
    };
}

/// A result type of tests, with the value of a skipped test.
pub trait Skipped {
    /// Neither a failure nor a value.
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// The name of the function around `here`, as `tests/run.sh` prints it: `binary::module::test`.
///
/// Taken from the type's name and not from the thread's: libtest with a single thread runs tests on the main one.
pub fn test_name<T>(_here: &T) -> String {
    let path = std::any::type_name::<T>();
    path.strip_suffix("::here").unwrap_or(path).replace("::{{closure}}", "")
}

/// Writes `skipped: <test>: <why>` to the file of [`SKIPS_FILE`], or to standard error without one.
///
/// # Panics
/// Panics if the file cannot be written: the skip would count as a pass.
pub fn record(test: &str, why: &str) {
    let line = format!("skipped: {test}: {}\n", why.replace('\n', " "));
    let Some(path) = std::env::var_os(SKIPS_FILE) else {
        eprint!("{line}");
        return;
    };
    // One write in append mode: tests of several processes may skip at once.
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("the skip can't be recorded in {}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::test_name;

    #[test]
    fn name_is_of_calling_test() {
        fn here() {}
        assert_eq!(test_name(&here), "eyepiece_tests::skip::tests::name_is_of_calling_test");
        let inner = || {
            fn here() {}
            test_name(&here)
        };
        assert_eq!(inner(), "eyepiece_tests::skip::tests::name_is_of_calling_test");
    }
}
