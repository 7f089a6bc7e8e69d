//! The program: its commands, its output, its ends.

use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::json;

use crate::support::server::KEY;
use crate::support::{Client, Process, Worker, run_to_end, shown_on_terminal};

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The only line of a refusal to start.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let lines = lines(&output.stderr);
    let faults: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("cluster-server: "))
        .collect();
    assert_eq!(faults.len(), 1, "{lines:?}");
    faults[0].clone()
}

#[test]
fn a_setting_mistyped_in_an_env_file_is_logged_without_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".env");
    std::fs::write(&file, "CLIENT_APIKEY=hunter2hunter2hunter2\n").unwrap();
    // A host without address ends it before it serves anything.
    let output = run_to_end(dir.path(), &[("HOST", "no.such.name.invalid")], &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(
            ".env sets CLIENT_APIKEY, which is no setting; CLIENT_API_KEY is probably meant"
        ),
        "{stderr}"
    );
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn gen_secrets_prints_five_lines_that_a_server_starts_with_in_production() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_to_end(folder.path(), &[], &["gen-secrets"]);
    assert!(output.status.success());
    let secrets = lines(&output.stdout);
    let names: Vec<_> = secrets
        .iter()
        .map(|line| line.split('=').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "CLIENT_API_KEY",
            "CLIENT_API_KEY_MNEMONIC",
            "WORKER_INVITE_SECRET",
            "JOB_SIGNING_PRIVATE_KEY_B64",
            "JOB_SIGNING_PUBLIC_KEY_B64",
        ]
    );
    let key = secrets[0].split_once('=').unwrap().1;
    let words = secrets[1].split_once('=').unwrap().1;
    assert_eq!(shared::mnemonic::to_words(key).unwrap(), words);
    std::fs::write(folder.path().join(".env"), output.stdout).unwrap();
    let server = Process::start(folder.path(), &[("NODE_ENV", "production")]);
    assert!(
        !folder.path().join("data/secrets.env").exists(),
        "nothing had to be made"
    );
    drop(server);
}

#[tokio::test]
async fn on_a_terminal_it_shows_where_to_go_with_which_key_and_at_first_an_invite() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = [("HOST", "0.0.0.0"), ("LOG_LEVEL", "warn")];
    let mut shown = shown_on_terminal(folder.path(), &everywhere);
    shown.retain(|line| !line.ends_with("/client, from other devices"));
    let value = |label: &str| {
        let line = shown.iter().find_map(|line| line.strip_prefix(label));
        line.expect(label).trim().to_owned()
    };
    let page = value("Client page: ");
    assert!(page.starts_with("http://127.0.0.1:") && page.ends_with("/client"));
    let kept = std::fs::read_to_string(value("Secrets: ")).unwrap();
    assert!(kept.contains(&format!("CLIENT_API_KEY={}\n", value("Client key: "))));
    assert!(kept.contains(&format!(
        "CLIENT_API_KEY_MNEMONIC={}\n",
        value("Mnemonic: ")
    )));
    let invite = value("Invite: ");
    assert!(!invite.contains("0.0.0.0"), "{invite}");
    let qr = shared::qr::terminal(&invite).unwrap();
    assert_eq!(shown[5..].join("\n"), qr, "the link as a QR code");

    let mut again = shown_on_terminal(folder.path(), &everywhere);
    again.retain(|line| !line.ends_with("/client, from other devices"));
    assert!(!again.contains(&format!("Invite:      {invite}")));
    assert_eq!(again.len(), 5, "no invite that would replace the first");
    let server = Process::start(folder.path(), &[]);
    let code = invite.rsplit_once('/').unwrap().1;
    let followed = server.client.get(&format!("/j/{code}")).await;
    assert_eq!(followed.status, 302);
}

#[tokio::test]
async fn an_invite_made_on_this_computer_has_links_for_the_devices_around_beside_its_own() {
    let made_at = async |host: &str| {
        let folder = tempfile::tempdir().unwrap();
        let server = Process::start(folder.path(), &[("HOST", host)]);
        let port = server.url.rsplit_once(':').unwrap().1;
        let client = Client::new(&format!("http://127.0.0.1:{port}"), KEY);
        let invite = client.post("/api/invites/worker", &json!({})).await.json();
        let here = format!("http://127.0.0.1:{port}/worker?invite=");
        assert!(invite["inviteUrl"].as_str().unwrap().starts_with(&here));
        (invite, here)
    };
    let (invite, _) = made_at("127.0.0.1").await;
    assert!(invite.get("network").is_none(), "{invite}");

    let (invite, here) = made_at("0.0.0.0").await;
    let Some(network) = invite.get("network") else {
        // A computer without any network has no other address to tell.
        assert!(!has_network());
        return;
    };
    let full = network["inviteUrl"].as_str().unwrap();
    assert!(!full.starts_with(&here), "{full}");
    let (host, _) = full.split_once("/worker").unwrap();
    for (name, path, part) in [
        ("shortInviteUrl", "j", "shortCode"),
        ("phraseInviteUrl", "p", "phraseSlug"),
    ] {
        let link = format!("{host}/{path}/{}", invite[part].as_str().unwrap());
        assert_eq!(network[name], link);
    }
}

fn has_network() -> bool {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").is_ok()
}

#[test]
fn production_without_secrets_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_to_end(folder.path(), &[("NODE_ENV", "production")], &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    for name in [
        "WORKER_INVITE_SECRET",
        "JOB_SIGNING_PRIVATE_KEY_B64",
        "JOB_SIGNING_PUBLIC_KEY_B64",
    ] {
        assert!(stderr.contains(&format!("{name} is not set")), "{stderr}");
    }
    assert!(!folder.path().join("data").exists());
}

#[test]
fn what_keeps_it_from_starting_is_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = refusal(&run_to_end(folder.path(), &[("PORT", &port)], &[]));
    assert!(
        line.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{line}"
    );
    assert!(line.contains("set PORT to a free port"), "{line}");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let line = refusal(&run_to_end(
        folder.path(),
        &[("DATA_DIR", file.to_str().unwrap())],
        &[],
    ));
    assert!(line.contains("cannot use"), "{line}");

    let line = refusal(&run_to_end(
        folder.path(),
        &[],
        &["--env-file", "missing.env"],
    ));
    assert!(line.contains("missing.env"), "{line}");

    let _running = Process::start(folder.path(), &[]);
    let line = refusal(&run_to_end(folder.path(), &[], &[]));
    assert!(
        line.contains("another server uses the data folder"),
        "{line}"
    );
}

#[test]
fn an_argument_that_is_not_known_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_to_end(folder.path(), &[], &["--prot", "8080"]);
    assert!(!output.status.success());
    let help = run_to_end(folder.path(), &[], &["--help"]);
    assert!(help.status.success() && !help.stdout.is_empty());
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let server = Process::start(folder.path(), &[("SHUTDOWN_GRACE_SEC", "1")]);
        let id = server
            .client
            .submit("/api/jobs", &json!({"a": 1, "b": 1}))
            .await;
        let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
        worker.assigned().await;
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &server.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        worker.bye().await;
        let ended = tokio::task::spawn_blocking(|| server.wait()).await.unwrap();
        assert!(ended.success(), "{signal}: {ended}");
        let server = Process::start(folder.path(), &[]);
        assert_ne!(server.client.job(&id).await["status"], "done");
        drop(server);
    }
}

#[test]
fn one_line_on_stdout_and_no_secret_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "hunter2hunter2hunter2";
    let values = [
        ("WORKER_INVITE_SECRET", secret),
        ("LOG_LEVEL", "trace"),
        ("PORT", "70000"),
    ];
    let output = run_to_end(folder.path(), &values, &[]);
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8(said).unwrap().contains(secret));
}
