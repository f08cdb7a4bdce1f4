//! Runs a test in its own process, for tests that measure or limit the whole process.

use std::process::Command;

/// Names the test that this process was started for.
const VARIABLE: &str = "EYEPIECE_OWN_PROCESS";

/// Makes the calling test run in its own process: the first call starts it, checks its result and returns.
#[macro_export]
macro_rules! own_process {
    () => {{
        fn here() {}
        if !$crate::own_process::is_own(&$crate::skip::test_name(&here)) {
            return;
        }
    }};
}

/// Returns whether this process was started for the test; if not, starts such a process and waits for it.
///
/// # Panics
/// If the test fails in its process.
pub fn is_own(test: &str) -> bool {
    let (_, test) = test.split_once("::").expect("the name of the test program and of the test");
    if std::env::var_os(VARIABLE).is_some_and(|name| name == test) {
        return true;
    }
    let program = std::env::current_exe().expect("the test program");
    let output = Command::new(program).args([test, "--exact", "--nocapture"]).env(VARIABLE, test).output();
    let output = output.expect("the test program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("ok. 1 passed"), "{test} in its own process: {}", output.status);
    false
}

#[cfg(test)]
mod tests {
    #[test]
    fn test_runs_in_child_process() {
        crate::own_process!();
        let name = std::env::var(super::VARIABLE).expect("set by the parent");
        assert_eq!(name, "own_process::tests::test_runs_in_child_process");
    }
}
