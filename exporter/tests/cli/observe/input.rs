//! Flows from files: what `-o json` and Hubble's exporter write.

use super::{eyepiece, observe_text, text, texts};

fn event(second: u32) -> String {
    format!(
        r#"{{"flow":{{"uuid":"u{second}","Summary":"s{second}"}},"node_name":"n","time":"2024-05-06T07:00:{second:02}Z"}}"#
    )
}

fn summaries(out: &str) -> Vec<&str> {
    out.lines().filter_map(|line| line.rsplit_once('(')?.1.strip_suffix(')')).collect()
}

#[test]
fn input_lines_print_as_server_flows() {
    let whole: String = (0..30).map(|second| event(second) + "\n").collect();
    for (flags, expected) in [
        (&["--input-file", "-"][..], (0..30).collect::<Vec<_>>()),
        (&["--input-file", "-", "--all"], (0..30).collect()),
        (&["--input-file", "-", "--last", "2"], vec![28, 29]),
        (&["--input-file", "-", "--first", "2"], vec![0, 1]),
        (&["--input-file", "-", "--since", "2024-05-06T07:00:28Z"], vec![28, 29]),
        (&["--input-file", "-", "--until", "2024-05-06T07:00:01Z"], vec![0, 1]),
    ] {
        let output = observe_text(&whole, flags);
        let (code, out, err) = texts(&output);
        let expected: Vec<_> = expected.into_iter().map(|second| format!("s{second}")).collect();
        assert_eq!(
            (code, summaries(&out), err.as_str()),
            (0, expected.iter().map(String::as_str).collect(), ""),
            "{flags:?}"
        );
    }
    let (_, json, _) = texts(&observe_text(&whole, &["--input-file", "-", "-o", "json"]));
    assert_eq!(json, whole);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.json");
    std::fs::write(&file, &whole).unwrap();
    let output = eyepiece(&["observe", "--input-file", text(&file)]).output().unwrap();
    assert_eq!(summaries(&texts(&output).1).len(), 30);
    let output = eyepiece(&["observe", "--input-file", "/nonexistent"]).output().unwrap();
    assert_eq!(
        texts(&output),
        (1, String::new(), "eyepiece: /nonexistent: No such file or directory (os error 2)\n".to_owned())
    );
}

#[test]
fn filters_on_input_match_server() {
    let flow = |name: &str, address: &str, port: u16| {
        format!(
            r#"{{"flow":{{"verdict":"DROPPED","IP":{{"source":"{address}","destination":"10.0.0.9"}},"l4":{{"TCP":{{"source_port":1,"destination_port":{port}}}}},"Summary":"{name}"}},"node_name":"kind/n","time":"2024-05-06T07:00:00Z"}}"#
        )
    };
    let agent = r#"{"agent_event":{"type":"AGENT_STARTED"},"time":"2024-05-06T07:00:00Z"}"#;
    let whole = [flow("s1", "10.0.0.1", 80), agent.to_owned(), flow("s2", "10.0.0.2", 443), flow("s3", "fd00::1", 443)];
    for (flags, expected) in [
        (&["--port", "443"][..], &["s2", "s3"][..]),
        (&["--port", "443", "--not", "--from-ip", "fd00::/8"], &["s2"]),
        (&["--from-ip", "10.0.0.0/24", "--last", "1"], &["s2"]),
        (&["--first", "1", "--verdict", "DROPPED", "--port", "443"], &["s2"]),
        (&["--node-name", "kind/*", "--last", "2"], &["s2", "s3"]),
        (&["--node-name", "other/n"], &[]),
        (&["--verdict", "FORWARDED"], &[]),
        (&["--cel-expression", "_flow.l4.TCP.destination_port == 80u"], &["s1"]),
    ] {
        let output = observe_text(&whole.join("\n"), &[&["--input-file", "-"], flags].concat());
        let (code, out, err) = texts(&output);
        assert_eq!((code, summaries(&out).as_slice(), err.as_str()), (0, expected, ""), "{flags:?} {out}");
    }
    let last = texts(&observe_text(&whole.join("\n"), &["agent-events", "--input-file", "-", "--last", "1"]));
    assert!(last.1.contains("AGENT_STARTED"), "flows do not count among them: {last:?}");
}

#[test]
fn broken_lines_are_reported_others_printed() {
    let text = format!("{}\n{{\n\n\u{1b}x\n{}", event(1), event(2));
    let (code, out, err) = texts(&observe_text(&text, &["--input-file", "-"]));
    assert_eq!((code, summaries(&out)), (0, vec!["s1", "s2"]));
    assert!(err.contains("eyepiece: line 2: no event in JSON") && err.contains("eyepiece: line 4: "), "{err}");
    assert!(!err.contains('\u{1b}'), "{err:?}");
    assert_eq!(texts(&observe_text(&text, &["--input-file", "-", "-s"])).2, "");
}

#[test]
fn unknown_fields_are_reported_once() {
    let newer = event(1).replace("\"uuid\"", "\"of_tomorrow\":{},\"uuid\"");
    let (code, out, err) = texts(&observe_text(&format!("{newer}\n{newer}\n"), &["--input-file", "-"]));
    assert_eq!((code, summaries(&out).len(), err.lines().count()), (0, 2, 1), "{err}");
    assert!(err.contains("of_tomorrow"), "{err}");
}

#[test]
fn each_sub_command_takes_its_own() {
    let text = format!(
        "{}\n{}\n{}\n",
        event(1),
        r#"{"agent_event":{"type":"AGENT_STARTED"},"time":"2024-05-06T07:00:00Z"}"#,
        r#"{"debug_event":{"message":"m"}}"#
    );
    let agent = texts(&observe_text(&text, &["agent-events", "--input-file", "-"]));
    assert_eq!(agent, (0, "May  6 07:00:00.000: AGENT_STARTED (UNKNOWN)\n".to_owned(), String::new()));
    let debug = texts(&observe_text(&text, &["debug-events", "--input-file", "-"]));
    assert_eq!(debug.1, "N/A: N/A DBG_EVENT_UNKNOWN MARK: N/A CPU: N/A (m)\n");
}
