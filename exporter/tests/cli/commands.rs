//! The command as users run it: exit codes and what is printed.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

use eyepiece::serve::admin::{Config, Ready};
use eyepiece::support::status::{HookStatus, Status};
use tempfile::NamedTempFile;

/// Runs with an environment of nothing but `env`.
fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyepiece"));
    command.args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command.output().expect("the command starts")
}

/// The same with a file of settings, so that no file of the machine is read.
fn run_with(text: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("room for it");
    let path = file.path().to_str().expect("UTF-8").to_owned();
    run(&[args, &["--config", &path]].concat(), env)
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn commands_have_exit_code_and_stream() {
    let missing = "/nonexistent/eyepiece.toml: cannot be read";
    for (args, exit, stdout, stderr) in [
        (&[][..], 0, "Examples:", ""),
        (&["--help"], 0, "Exit codes:", ""),
        (&["-h"], 0, "More: eyepiece --help", ""),
        (&["help", "run"], 0, "CAP_BPF", ""),
        (&["observe", "--help"], 0, "--drop-reason-desc <REASON>", ""),
        (&["observe", "flows", "--help"], 0, "eyepiece observe -f --verdict DROPPED", ""),
        (&["man", "observe", "agent-events"], 0, "\\-\\-input\\-file", ""),
        (&["--version"], 0, concat!("eyepiece ", env!("CARGO_PKG_VERSION")), ""),
        (&["completions", "bash"], 0, "_eyepiece()", ""),
        (&["config", "reference"], 0, "[otlp.logs]", ""),
        (&["nonsense"], 64, "", "unrecognized subcommand 'nonsense'"),
        (&["config"], 64, "", "Usage: eyepiece config"),
        (&["run", "--nonsense"], 64, "", "unexpected argument '--nonsense'"),
        (&["run", "--protocol", "http/json"], 64, "", "possible values: grpc, http/protobuf, stdout"),
        (&["run", "--set", "otlp.endpoint"], 64, "", "expected KEY=VALUE"),
        (&["run", "--set", "=x"], 64, "", "expected KEY=VALUE"),
        (&["completions", "tcsh"], 64, "", "possible values: bash"),
        (&["man", "nonsense"], 64, "", "unknown sub-command \"nonsense\""),
        (&["config", "check", "--config", "/nonexistent/eyepiece.toml"], 78, "", missing),
    ] {
        let output = run(args, &[]);
        assert_eq!(code(&output), exit, "{args:?}");
        for (text, expected) in [(out(&output), stdout), (err(&output), stderr)] {
            assert!(text.contains(expected), "{args:?} {text}");
            assert_eq!(text.is_empty(), expected.is_empty(), "{args:?} {text}");
        }
    }
}

#[test]
fn wrong_configuration_is_refused_by_commands() {
    for args in [&["run"][..], &["demo"], &["status"], &["config", "check"], &["config", "print"]] {
        let output = run_with("[otlp]\nendpont = \"x\"", args, &[("EYEPIECE_LOG__LEVEL", "loud")]);
        assert_eq!(code(&output), 78, "{args:?}");
        let text = err(&output);
        let start = "eyepiece: the configuration has 2 mistakes:\n  log.level (from EYEPIECE_LOG__LEVEL): ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("\n  otlp.endpont (from /") && text.contains("did you mean otlp.endpoint?"), "{text}");
        assert_eq!(out(&output), "");
    }
}

#[test]
fn missing_file_is_named_with_key() {
    let source = "admin.listen = \"\"\nhubble.listen = []\nsource.kind = \"hubble\"\n[hubble_source]\naddress = \"127.0.0.1:1\"\n";
    for (key, more) in
        [("tls.ca", ""), ("tls.cert", "tls.key = \"/dev/null\""), ("tls.key", "tls.cert = \"/dev/null\"")]
    {
        let output = run_with(&format!("{source}{key} = \"/nonexistent/file\"\n{more}\n"), &["run"], &[]);
        let (code, err) = (code(&output), err(&output));
        assert_eq!(code, 78, "{err}");
        assert!(err.contains(&format!("hubble_source.{key}")) && err.contains("/nonexistent/file"), "{err}");
    }
}

#[test]
fn config_check_reports_as_run() {
    let text = "hubble.listen = []\nadmin.listen = \"203.0.113.7:9966\"\n[monitor]\nsocket = \"/nonexistent/m.sock\"\n\
                [otlp]\nendpoint = \"https://127.0.0.1:1\"\ntls.ca = \"/nonexistent/ca.pem\"\n";
    let outputs = [&["config", "check"][..], &["run"], &["record", "--export", "--raw", "/nonexistent/r"]]
        .map(|args| run_with(text, args, &[]));
    for output in &outputs {
        assert_eq!(code(output), 78, "{}", err(output));
        let text = err(output);
        assert!(text.starts_with("eyepiece: the configuration has 3 mistakes:\n  admin.listen (from /"), "{text}");
        for words in [
            "): 203.0.113.7 is no address of this machine; ",
            "\n  monitor.socket (from /",
            "): there is no folder /nonexistent; ",
            "\n  otlp.tls.ca (from /",
            "): cannot use the certificate in /nonexistent/ca.pem: No such file or directory",
        ] {
            assert!(text.contains(words), "{words} {text}");
        }
    }
    // Without exports none of it is used: what fails is the file.
    let output = run_with(text, &["record", "--raw", "/nonexistent/r"], &[]);
    assert!(code(&output) != 78, "{}", err(&output));
}

#[test]
fn absent_peers_file_is_warning() {
    let text = "hubble.peers_file = \"/nonexistent/peers\"\n";
    let output = run_with(text, &["config", "check"], &[]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let expected = "eyepiece: warning: hubble.peers_file (from /";
    assert!(
        err(&output).starts_with(expected) && err(&output).contains("cannot read /nonexistent/peers: "),
        "{}",
        err(&output)
    );
}

#[test]
fn unusable_metadata_files_warn_everywhere() {
    // What ends the run after its warnings: the address is in use.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!(
        "admin.listen = \"{address}\"\nhubble.listen = []\nsource.kind = \"cilium-monitor\"\n[metadata]\n\
         file.path = \"/nonexistent/names.toml\"\nkubernetes.kubeconfig = \"/dev/null\"\n"
    );
    for (args, exit) in [(["config", "check"].as_slice(), 0), (&["run"], 1)] {
        let output = run_with(&text, args, &[]);
        let text = err(&output);
        assert_eq!(code(&output), exit, "{text}");
        for expected in [
            "metadata.file.path (from /",
            "): cannot read /nonexistent/names.toml: No such file or directory",
            "metadata.kubernetes.kubeconfig (from /",
            "): cannot read kubeconfig /dev/null: ",
        ] {
            assert!(text.contains(expected), "{args:?}: {expected}: {text}");
        }
    }
}

#[test]
fn flags_of_run_are_settings() {
    let flags = ["run", "-e", "c:4317", "-i", "", "--set", "otlp.endpoint=d:4317"];
    let output = run_with("", &flags, &[]);
    assert_eq!(code(&output), 78);
    let text = err(&output);
    let endpoint = "otlp.endpoint (from --endpoint): \"c:4317\" does not begin with http:// or https://";
    assert!(text.contains(endpoint), "{text}");
    assert!(text.contains("datapath.interfaces.include (from --interface): "), "{text}");
}

#[test]
fn config_check_names_origin_of_value() {
    let output = run_with("", &["config", "check"], &[]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "the configuration is good: every key has its default\n"));
    let args = ["config", "check", "--set", "log.level=warn"];
    let output = run_with("", &args, &[("OTEL_SERVICE_NAME", "x"), ("PATH", "/bin")]);
    assert_eq!(code(&output), 0);
    let expected = "the configuration is good: 2 keys are set, by\n  --set log.level\n  OTEL_SERVICE_NAME\n";
    assert_eq!(out(&output), expected);
}

#[test]
fn last_flag_wins_around_subcommand() {
    let set = [
        "--set",
        "node.name=a",
        "--set",
        "node.cluster=b",
        "config",
        "-s",
        "node.name=c",
        "print",
        "-s",
        "log.level=warn",
    ];
    let output = run_with("", &set, &[]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let text = out(&output);
    for line in ["\nname = \"c\" # --set node.name\n", "\ncluster = \"b\" # ", "\nlevel = \"warn\" # "] {
        assert!(text.contains(line), "{line} {text}");
    }
    let output = run_with("", &["--config", "/nonexistent/eyepiece.toml", "config", "check"], &[]);
    assert_eq!(code(&output), 0, "{}", err(&output));
}

#[test]
fn config_print_hides_secrets() {
    let env = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"), ("EYEPIECE_NODE__NAME", "n1")];
    let output = run_with("[admin]\nlisten = \"\"", &["config", "print"], &env);
    assert_eq!(code(&output), 0);
    let text = out(&output);
    assert!(text.contains("name = \"n1\" # EYEPIECE_NODE__NAME\n"), "{text}");
    assert!(text.contains("headers = { \"authorization\" = \"<hidden>\" } # OTEL_EXPORTER_OTLP_HEADERS\n"), "{text}");
    assert!(!text.contains("s3cret"));
    let again = run_with(&text.replace("<hidden>", "x"), &["config", "check"], &[]);
    assert_eq!(code(&again), 0, "{}", err(&again));
}

#[test]
fn ignored_flags_are_reported() {
    for (command, printed) in [("check", "the configuration is good"), ("print", "[otlp.logs]")] {
        let output = run_with("", &["config", command], &[("OTEL_LOG_LEVEL", "verbose")]);
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(out(&output).contains(printed), "{}", out(&output));
        let warning = "eyepiece: warning: log.level (from OTEL_LOG_LEVEL): \"verbose\" is not known";
        assert!(err(&output).starts_with(warning), "{}", err(&output));
    }
}

#[test]
fn node_name_defaults_to_host_name() {
    let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let text = out(&run_with("", &["config", "print"], &[]));
    assert!(text.contains(&format!("name = \"{hostname}\"\n")), "{text}");
}

#[test]
fn closed_output_pipe_is_no_error() {
    let script = format!("{} config reference | head -n 1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_eyepiece"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
}

#[test]
fn completions_and_manuals_name_subcommands() {
    const COMMANDS: [&str; 7] = ["run", "config", "status", "observe", "demo", "completions", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = out(&run(&["completions", shell], &[]));
        for word in COMMANDS.into_iter().chain(["reference", "protocol"]) {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
    let page = out(&run(&["man"], &[]));
    assert!(page.contains(".TH eyepiece 1"), "{page}");
    for word in COMMANDS {
        assert!(page.contains(&format!("eyepiece\\-{word}(1)")), "{word} {page}");
    }
    let page = out(&run(&["man", "config", "print"], &[]));
    assert!(page.contains(".TH eyepiece-config-print 1") && page.contains("secrets are hidden"), "{page}");
}

#[test]
fn bash_takes_its_completions() {
    let script = out(&run(&["completions", "bash"], &[]));
    let complete = "COMP_WORDS=(eyepiece co); COMP_CWORD=1; _eyepiece eyepiece co eyepiece; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-c", &format!("{script}\n{complete}")]).output().unwrap();
    assert_eq!((code(&output), out(&output).as_str()), (0, "config completions\n"), "{}", err(&output));
}

#[test]
fn status_reads_admin_endpoint() {
    let ready = Ready::default();
    ready.set(true);
    let status = || Status {
        version: "9.9.9".to_owned(),
        node: "n1".to_owned(),
        hooks: vec![HookStatus { interface: "veth1".to_owned(), attached: true, ..HookStatus::default() }],
        ..Status::default()
    };
    let admin =
        Config { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), hosts: Vec::new() }.build(ready, status).unwrap();
    let address = admin.addr.to_string();
    let output = run_with("", &["status", "--address", &address], &[]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).starts_with("eyepiece 9.9.9 on n1: ready, up 0s"), "{}", out(&output));
    assert!(out(&output).contains("veth1"));
    let output = run_with("", &["status", "--json"], &[("EYEPIECE_ADMIN__LISTEN", &address)]);
    assert_eq!(code(&output), 0);
    let document: Status = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((document.version.as_str(), document.ready), ("9.9.9", true));
}

#[test]
fn status_without_server_names_address() {
    // A free port, given back: no process listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = run_with("", &["status", "--address", &address], &[]);
    assert_eq!(code(&output), 1);
    let expected = format!("eyepiece: cannot connect to {address} (admin.listen): Connection refused (os error 111)");
    assert!(err(&output).starts_with(&expected), "{}", err(&output));
    let output = run_with("", &["status", "--address="], &[]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("admin.listen is empty"), "{}", err(&output));
}
