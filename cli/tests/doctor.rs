//! `cluster doctor` where no server answers: each reason has a line and a fix of its own.
//!
//! Not here: what it says of a real server and of the proxies in front of one (`tests-e2e`).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

/// Exit code and the lines on the server; the rest is skipped then.
#[track_caller]
fn assert_server_fails(host: &str, seen: &str, fix: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["doctor", "--host", host])
        .env_clear()
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = format!(
        "fail  server      {seen}\n                  Fix: {fix}\n\
         skip  the rest    needs a server that answers\n11 checks: 1 fail, 10 skip\n"
    );
    assert_eq!(
        (
            output.status.code(),
            stdout.as_str(),
            output.stderr.as_slice()
        ),
        (Some(1), lines.as_str(), &b""[..])
    );
}

/// Serves every connection by `serve`; its port.
fn listen(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    port
}

/// Answers every request with the same bytes.
fn answering(answer: &'static str) -> u16 {
    listen(move |mut stream| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

/// Speaks TLS alone, with a certificate that nobody has signed but itself.
fn over_tls() -> u16 {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    listen(move |mut stream| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let _ = session.complete_io(&mut stream);
    })
}

#[test]
fn an_address_at_which_nothing_listens_is_told_from_a_name_without_address() {
    assert_server_fails(
        "http://127.0.0.1:1",
        "nothing listens at 127.0.0.1:1",
        "start the server there, or set --host to its address and port",
    );
    assert_server_fails(
        "http://no.such.name.invalid",
        "no address is known for the name no.such.name.invalid",
        "check the spelling of --host, or the name's DNS entry",
    );
}

#[test]
fn http_and_https_that_are_mixed_up_are_told_with_the_right_line() {
    let plain = answering("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    assert_server_fails(
        &format!("https://127.0.0.1:{plain}/base"),
        "plain http is spoken there, not https",
        &format!("--host http://127.0.0.1:{plain}/base"),
    );
    let secure = over_tls();
    assert_server_fails(
        &format!("http://127.0.0.1:{secure}"),
        "https is spoken there, not plain http",
        &format!("--host https://127.0.0.1:{secure}"),
    );
    let nginx = answering(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
         <html>The plain HTTP request was sent to HTTPS port</html>",
    );
    assert_server_fails(
        &format!("http://127.0.0.1:{nginx}"),
        "https is spoken there, not plain http",
        &format!("--host https://127.0.0.1:{nginx}"),
    );
}

#[test]
fn a_certificate_of_nobody_is_named_as_that() {
    assert_server_fails(
        &format!("https://127.0.0.1:{}", over_tls()),
        "its certificate is not signed by an authority that is known here",
        "let the proxy send the whole chain (fullchain.pem) of a public authority such as Let's \
         Encrypt; browsers refuse it, too",
    );
}

#[test]
fn who_hangs_up_is_told_from_who_answers() {
    let port = listen(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
    });
    assert_server_fails(
        &format!("http://127.0.0.1:{port}"),
        &format!("127.0.0.1:{port} hangs up without an answer"),
        &format!(
            "see whether it speaks https (--host https://127.0.0.1:{port}), and whether the proxy \
             there reaches the server"
        ),
    );
}

#[test]
fn other_programs_are_shown_by_what_they_say() {
    let json = answering("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"status\":\"UP\"}");
    let host = format!("http://127.0.0.1:{json}");
    assert_server_fails(
        &host,
        "other JSON (status 200) came instead of the server's answer: {\"status\":\"UP\"}",
        &format!(
            "{host} is another program, or a proxy that does not pass this path on: set --host to \
             the server with its BASE_PATH, and let the proxy pass on all below it"
        ),
    );
}

#[test]
fn a_host_without_scheme_is_answered_with_the_right_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["doctor", "--host", "localhost:8080"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "--host localhost:8080 has no scheme; write --host http://localhost:8080\n"
    );
}
