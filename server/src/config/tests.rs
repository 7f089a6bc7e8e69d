use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::*;

const NO_FILE: &str = "/nonexistent/.env";

fn given(values: &[(&str, &str)]) -> Given {
    let mut given = Given::default();
    for (name, text) in values {
        let setting = s::ALL.iter().find(|setting| setting.name == *name);
        given.add(setting.expect("a known setting"), text);
    }
    given
}

fn config(values: &[(&str, &str)]) -> Config {
    Config::new(&given(values)).unwrap()
}

fn faults(values: &[(&str, &str)]) -> Vec<String> {
    let ConfigError(faults) = Config::new(&given(values)).unwrap_err();
    faults.iter().map(Fault::to_string).collect()
}

fn serve(args: &[&str], environment: &[(&str, &str)], env_file: &Path) -> Config {
    let args = ["cluster-server"].iter().chain(args).map(OsString::from);
    let lookup = |name: &str| {
        let pair = environment.iter().find(|(known, _)| *known == name);
        pair.map(|(_, text)| OsString::from(text))
    };
    match parse_args(args, lookup, env_file).unwrap() {
        Command::Serve(given) => Config::new(&given).unwrap(),
        Command::GenSecrets
        | Command::EnvExample
        | Command::Backup { .. }
        | Command::Restore { .. } => panic!("expected to serve"),
    }
}

#[test]
fn every_default_is_accepted() {
    let config = config(&[]);
    assert_eq!(config.port, 8080);
    assert_eq!(config.signed_job_ttl_ms, 120_000);
    assert!(config.invite_require_latest);
}

#[test]
fn numbers_are_taken_at_both_ends_of_their_range_and_refused_beyond() {
    for setting in s::ALL {
        let s::Kind::Int(min, max) = setting.kind else {
            continue;
        };
        for value in [min, max] {
            let value = value.to_string();
            if let Err(ConfigError(faults)) = Config::new(&given(&[(setting.name, &value)])) {
                assert!(
                    faults.iter().all(|fault| fault.name != setting.name
                        || fault.expected.contains("CUSTOM_JOB_MAX_TIMEOUT_MS")),
                    "{faults:?}"
                );
            }
        }
        let below = min.checked_sub(1).map(|value| value.to_string());
        let above = (max + 1).to_string();
        for value in below.iter().chain([
            &above,
            &"-1".into(),
            &"1.5".into(),
            &"x".into(),
            &format!("+{max}"),
        ]) {
            let faults = faults(&[(setting.name, value)]);
            let expected = format!(
                "{} is {value:?}, must be an integer from {min} to {max}",
                setting.name
            );
            assert!(faults.contains(&expected), "{faults:?}");
        }
    }
}

#[test]
fn all_faults_are_reported_together() {
    let faults = faults(&[
        ("PORT", "70000"),
        ("WORKER_INVITE_REQUIRE_LATEST", "maybe"),
        ("REQUEST_BODY_LIMIT", "12 apples"),
        ("BASE_PATH", "/a//b"),
        ("TRUST_PROXY", "true"),
        ("ALLOWED_ORIGINS", "pages.example"),
        ("LOG_LEVEL", "server=loud"),
    ]);
    assert_eq!(faults.len(), 7, "{faults:#?}");
    assert!(faults.contains(&"PORT is \"70000\", must be an integer from 0 to 65535".into()));
}

#[test]
fn secrets_are_mandatory_in_production_and_never_shown() {
    let all = faults(&[("NODE_ENV", "production")]);
    for name in [
        "CLIENT_API_KEY is not set",
        "WORKER_INVITE_SECRET is not set",
        "JOB_SIGNING_PRIVATE_KEY_B64 is not set",
        "JOB_SIGNING_PUBLIC_KEY_B64 is not set",
    ] {
        assert!(all.iter().any(|fault| fault.starts_with(name)), "{all:?}");
    }
    let short = faults(&[("CLIENT_API_KEY", "hunter2")]);
    assert_eq!(
        short,
        ["CLIENT_API_KEY is [redacted], must be a key of at least 16 bytes of printable ASCII"]
    );
    let debug = format!(
        "{:?}",
        given(&[("CLIENT_API_KEY", "hunter2hunter2hunter2")])
    );
    assert!(!debug.contains("hunter2"), "{debug}");
}

#[test]
fn half_a_key_pair_is_refused() {
    let faults = faults(&[("JOB_SIGNING_PUBLIC_KEY_B64", "MIIB")]);
    assert_eq!(
        faults,
        [
            "JOB_SIGNING_PRIVATE_KEY_B64 is not set, must be set together with JOB_SIGNING_PUBLIC_KEY_B64"
        ]
    );
}

#[test]
fn base_paths_are_normalised() {
    for (text, expected) in [
        ("", ""),
        ("/", ""),
        ("cluster", "/cluster"),
        ("/a/b/", "/a/b"),
        ("a///", "/a"),
    ] {
        assert_eq!(
            config(&[("BASE_PATH", text)]).base_path,
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn base_paths_are_none_of_the_paths_that_are_always_at_the_root() {
    for taken in [
        "/health",
        "Healthz/",
        "READYZ",
        "/client.html",
        "/Worker.HTML",
    ] {
        let faults = faults(&[("BASE_PATH", taken)]);
        let expected = format!("BASE_PATH is {taken:?}, must be a path of ");
        assert!(faults[0].starts_with(&expected), "{faults:?}");
        assert!(faults[0].contains("/worker.html"), "{faults:?}");
    }
    for free in ["/health/x", "/x/health", "/healthy", "/client"] {
        assert_eq!(config(&[("BASE_PATH", free)]).base_path, free);
    }
}

#[test]
fn production_is_meant_in_any_letter_case() {
    for text in ["production", "Production", "PRODUCTION"] {
        let faults = faults(&[("NODE_ENV", text)]);
        assert_eq!(faults.len(), 4, "{text}: {faults:?}");
    }
    assert!(!config(&[("NODE_ENV", "test")]).is_production);
}

#[test]
fn what_a_header_cannot_carry_is_no_key() {
    for name in ["CLIENT_API_KEY", "METRICS_TOKEN"] {
        for text in [
            "sch\u{fc}ssel-sch\u{fc}ssel",
            "hunter2\thunter2hunter2",
            "hunter2hunter2\u{7f}x",
        ] {
            let faults = faults(&[(name, text)]);
            assert!(
                faults[0].starts_with(&format!("{name} is [redacted], must be "))
                    && faults[0].ends_with("16 bytes of printable ASCII"),
                "{faults:?}"
            );
        }
        config(&[(name, "~ !hunter2 hunter2~")]);
    }
    config(&[("WORKER_INVITE_SECRET", "sch\u{fc}ssel-sch\u{fc}ssel")]);
}

#[test]
fn a_variable_that_is_no_text_is_named_and_not_passed_over() {
    let outcome = |args: &[&str], wrong: &[&str]| {
        let args = ["cluster-server"].iter().chain(args).map(OsString::from);
        let lookup = |name: &str| {
            wrong
                .contains(&name)
                .then(|| OsString::from_vec(vec![0xff; 20]))
        };
        parse_args(args, lookup, Path::new(NO_FILE)).map_err(|error| error.to_string())
    };
    assert_eq!(
        outcome(&[], &["TRUST_PROXY", "CLIENT_API_KEY", "UNKNOWN"]).unwrap_err(),
        "TRUST_PROXY is not UTF-8, must be 0, 1, or a list of addresses and networks such as \
         10.0.0.0/8\nCLIENT_API_KEY is not UTF-8, must be a key of at least 16 bytes of printable \
         ASCII"
    );
    assert_eq!(
        outcome(&["backup", "file"], &["PORT", "DATA_DIR"]).unwrap_err(),
        "DATA_DIR is not UTF-8, must be a path"
    );
    assert!(outcome(&["--port", "1"], &["PORT"]).is_ok());
    assert!(outcome(&["gen-secrets"], &["PORT"]).is_ok());
}

#[test]
fn caps_agree_with_the_limits_of_jobs() {
    let small = config(&[]);
    assert_eq!(small.max_body_bytes, 6 * 65_536 + 4096);
    assert_eq!(small.max_frame_bytes, 1_048_576 + 65_536);
    let large = config(&[("REQUEST_BODY_LIMIT", "2mb"), ("WS_MAX_PAYLOAD", "4194304")]);
    assert_eq!(large.max_body_bytes, 2 << 20);
    assert_eq!(large.max_frame_bytes, 4 << 20);
    let tiny = config(&[
        ("WS_MAX_PAYLOAD", "16384"),
        ("CUSTOM_JOB_MAX_RESULT_BYTES", "1024"),
    ]);
    assert_eq!(tiny.max_frame_bytes, MIN_FRAME_BYTES);
}

#[test]
fn results_are_never_too_small_for_the_smallest_envelope() {
    let effective = |bytes| {
        let config = config(&[("CUSTOM_JOB_MAX_RESULT_BYTES", bytes)]);
        config.jobs.max_result_bytes
    };
    let budget = |bytes: usize| bytes * 9 / 10;
    assert_eq!(effective("1024"), 4552);
    assert_eq!((budget(4551), budget(4552)), (4095, 4096));
    assert_eq!(effective("4553"), 4553);
}

#[test]
fn slots_are_those_that_the_protocol_allows() {
    let slots = |number| config(&[("WORKER_MAX_CONCURRENT_JOBS", number)]).max_slots;
    assert_eq!((slots("8"), slots("256")), (8, 256));
    assert_eq!((slots("257"), slots("65537")), (256, 256));
}

#[test]
fn proxies_are_none_one_or_those_of_a_list() {
    let trust = |text| config(&[("TRUST_PROXY", text)]).trust_proxy;
    assert_eq!(trust("0"), ProxyTrust::Nobody);
    assert_eq!(trust("1"), ProxyTrust::OneHop);
    let ProxyTrust::Networks(networks) = trust("10.0.0.0/8, ::1") else {
        panic!("a list");
    };
    assert_eq!(networks.len(), 2);
    for wrong in ["true", "2", "10.0.0.0/40", "proxy.example"] {
        let expected = format!(
            "TRUST_PROXY is {wrong:?}, must be 0, 1, or a list of addresses and networks such as \
             10.0.0.0/8"
        );
        assert_eq!(faults(&[("TRUST_PROXY", wrong)]), [expected]);
    }
}

#[test]
fn default_timeout_is_clamped_unless_zero() {
    let timeout = |default| {
        config(&[
            ("CUSTOM_JOB_MIN_TIMEOUT_MS", "10"),
            ("CUSTOM_JOB_MAX_TIMEOUT_MS", "20"),
            ("CUSTOM_JOB_DEFAULT_TIMEOUT_MS", default),
        ])
        .jobs
        .default_timeout_ms
    };
    assert_eq!(
        [timeout("0"), timeout("5"), timeout("15"), timeout("25")],
        [0, 10, 15, 20]
    );
}

#[test]
fn arguments_come_before_the_environment_and_that_before_files() {
    let dir = tempfile::tempdir().unwrap();
    let default_file = dir.path().join(".env");
    let named_file = dir.path().join("named.env");
    std::fs::write(
        &default_file,
        "PORT=1\nHOST=file\nBASE_PATH=/file\nRECLAIM_SEC=1\n",
    )
    .unwrap();
    std::fs::write(&named_file, "PORT=2\nHOST=named\nBASE_PATH=/named\n").unwrap();
    let config = serve(
        &["--port", "4", "--env-file", named_file.to_str().unwrap()],
        &[("PORT", "3"), ("HOST", "environment"), ("RECLAIM_SEC", "")],
        &default_file,
    );
    assert_eq!(config.port, 4);
    assert_eq!(config.host, "environment");
    assert_eq!(config.base_path, "/named");
    assert_eq!(config.reclaim_ms, 1000);
}

#[test]
fn an_env_file_that_cannot_be_read_is_named_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.env");
    std::fs::write(&file, "CLIENT_API_KEY='hunter2\n").unwrap();
    let path = file.to_str().unwrap();
    for (path, args) in [(path, path), (NO_FILE, NO_FILE)] {
        let args = ["cluster-server", "--env-file", args].map(OsString::from);
        let error = parse_args(args, |_| None, Path::new(NO_FILE))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(path) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn names_of_an_env_file_that_are_nearly_a_setting_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".env");
    let path = file.to_str().unwrap();
    let lines =
        "TRUST_PROXIES=1\nPOSTGRES_PASSWORD=x\nCLIENT_API_KEY_MNEMONIC=a b\nport=1\nPORT=2\n";
    std::fs::write(&file, lines).unwrap();
    let args = ["cluster-server"].map(OsString::from);
    let Command::Serve(given) = parse_args(args, |_| None, &file).unwrap() else {
        panic!("expected to serve");
    };
    let mistyped = |name: &str, meant| Mistyped {
        path: path.into(),
        name: name.into(),
        meant,
    };
    assert_eq!(
        given.mistyped(),
        [
            mistyped("TRUST_PROXIES", "TRUST_PROXY"),
            mistyped("port", "PORT")
        ]
    );
    assert_eq!(Config::new(&given).unwrap().port, 2);
}

#[test]
fn a_log_level_is_a_level_or_a_filter_and_no_other_word() {
    for good in ["info", "OFF", "info,server=debug", "warn, hyper=off"] {
        assert_eq!(config(&[("LOG_LEVEL", good)]).log.filter, good);
    }
    for wrong in ["nonsense", "server", "info,server", "server=loud", "info,"] {
        assert_eq!(
            faults(&[("LOG_LEVEL", wrong)]),
            [format!(
                "LOG_LEVEL is {wrong:?}, must be a level or a filter such as info,server=debug"
            )]
        );
    }
}

#[test]
fn a_default_env_file_that_cannot_be_read_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".env");
    let refusal = || {
        let args = ["cluster-server"].map(OsString::from);
        let error = parse_args(args, |_| None, &file).unwrap_err().to_string();
        assert!(error.contains(".env") && !error.contains('\n'), "{error}");
    };
    std::os::unix::fs::symlink(dir.path().join("not-mounted"), &file).unwrap();
    refusal();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    refusal();
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, [0xff, 0xfe, 0, 1]).unwrap();
    refusal();
}

#[test]
fn help_names_every_setting_with_default_and_range() {
    let args = ["cluster-server", "--help"].map(OsString::from);
    let help = parse_args(args, |_| None, Path::new(NO_FILE))
        .unwrap_err()
        .to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in s::ALL {
        assert!(
            words.contains(&format!("--{} ", setting.argument())),
            "{}",
            setting.name
        );
        let range = format!("[{}: {}", setting.name, setting.expected());
        assert!(words.contains(&range), "{range}");
    }
}

#[test]
fn committed_env_example_is_current() {
    let committed = include_str!("../../../.env.example");
    assert_eq!(
        committed,
        env_example(),
        "run `cargo run -p server -- env-example > .env.example`"
    );
}

#[test]
fn instruments_have_a_path_of_their_own() {
    let path_of = |text: &str| config(&[("METRICS_PATH", text)]).metrics_path;
    assert_eq!(path_of("/Ops/Numbers/"), "/ops/numbers");
    assert_eq!(path_of("numbers"), "/numbers");
    for taken in [
        "/",
        "/metrics",
        "/API/x",
        "/j/x",
        "/client",
        "/healthz",
        "/metrics.html",
        "/a b",
    ] {
        let faults = faults(&[("METRICS_PATH", taken)]);
        assert!(faults[0].starts_with("METRICS_PATH is "), "{faults:?}");
    }
}
