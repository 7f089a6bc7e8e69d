//! `cluster doctor` against the real server, through a proxy that breaks one thing each.
//!
//! Where no server answers at all is a matter of the command alone (`cli/tests/doctor.rs`).

mod proxy;

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Result;
use tempfile::TempDir;
use tests_e2e::{ApiClient, ServerProcess, ServerSetup, artifacts};

use crate::cluster::{self, KEY};
use proxy::Rules;

/// Whom proxies of these tests say that they serve.
const CLIENT: &str = "198.51.100.4";

/// A server and the folder of its data.
struct Served {
    server: ServerProcess,
    data: TempDir,
}

fn serve(change: impl FnOnce(ServerSetup) -> ServerSetup) -> Result<Served> {
    let data = TempDir::with_prefix("cluster-test-")?;
    let server = change(cluster::setup(&data)?).start()?;
    Ok(Served { server, data })
}

/// What the doctor said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    stdout: String,
}

/// Asks the doctor from a folder in which nothing lies.
fn ask(host: &str, arguments: &[&str]) -> Result<Told> {
    let folder = TempDir::new()?;
    let output = Command::new(artifacts::program("cluster")?)
        .args(["doctor", "--host", host])
        .args(arguments)
        .env_clear()
        .env("CLIENT_API_KEY", KEY)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()?;
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok(Told {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
    })
}

impl Told {
    /// The line of a check, and the fix below it if there is one.
    #[track_caller]
    fn lines_of(&self, check: &str) -> (String, String) {
        let mut lines = self.stdout.lines();
        let is_its = |line: &&str| line.get(6..).is_some_and(|rest| rest.starts_with(check));
        let line = lines
            .find(is_its)
            .unwrap_or_else(|| panic!("{check}: {self:?}"));
        let fix = lines
            .next()
            .and_then(|next| next.trim().strip_prefix("Fix: "));
        let verdict = line.split(' ').next().unwrap_or_default();
        let seen = line[6 + check.len()..].trim();
        (
            format!("{verdict} {seen}"),
            fix.unwrap_or_default().to_owned(),
        )
    }

    /// This check alone failed, with these words.
    #[track_caller]
    fn assert_fails(&self, check: &str, seen: &str, fix: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        let (line, advice) = self.lines_of(check);
        assert_eq!(line, format!("fail {seen}"), "{self:?}");
        assert!(advice.contains(fix), "{fix}: {advice}");
    }

    /// Nothing failed, and this check says so.
    #[track_caller]
    fn assert_fine(&self, check: &str, seen: &str) {
        assert_eq!(self.code, Some(0), "{self:?}");
        let (line, fix) = self.lines_of(check);
        assert_eq!((line, fix), (seen.to_owned(), String::new()), "{self:?}");
    }

    fn failed(&self) -> Vec<&str> {
        let lines = self.stdout.lines();
        lines.filter(|line| line.starts_with("fail")).collect()
    }
}

/// As nginx does with the lines that our fixes show.
fn good_proxy() -> Rules {
    Rules::of_requests(|head| head.append("X-Forwarded-For", CLIENT))
}

#[test]
fn a_server_without_a_proxy_is_well_but_for_workers() -> Result<()> {
    let served = serve(|setup| setup.env("BASE_PATH", "/grid"))?;
    let host = served.server.base();
    let invite = served.server.api().invite_url()?;
    let told = ask(host, &["--invite", &invite])?;
    assert_eq!(told.code, Some(0), "{told:?}");
    let port = host.split([':', '/']).nth(4).unwrap();
    let lines: Vec<String> = told
        .stdout
        .lines()
        .map(|line| masked(line, &["answers in ", "its id ", "holds for "]))
        .collect();
    assert_eq!(
        lines,
        [
            &format!("ok    server      {host} answers in … ms"),
            "ok    clock       the server's agrees with this one",
            "ok    store       ready: work is taken and kept",
            "ok    key         the server accepts it",
            "ok    signing key its id … fits",
            "ok    invite      it names the server's signing key, lets devices in, and holds for … s",
            "ok    websocket   /ws/worker opens, and a ping comes back",
            &format!("ok    origin      pages of http://127.0.0.1:{port} may open it"),
            "warn  workers     none is connected",
            "                  Fix: `cluster invite --qr` makes a link for devices to join by",
            "ok    proxy       none in between; the server sees this machine as 127.0.0.1, and takes \
             no other word for it",
            &format!("ok    address     invites begin with {host}"),
            "11 checks: 10 ok, 1 warn",
        ]
    );
    Ok(())
}

/// Without the word that follows one of these.
fn masked(line: &str, before: &[&str]) -> String {
    for word in before {
        if let Some((start, rest)) = line.split_once(word) {
            let rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
            return format!("{start}{word}… {rest}");
        }
    }
    line.to_owned()
}

#[test]
fn findings_are_there_for_programs_too() -> Result<()> {
    let served = serve(|setup| setup)?;
    let told = ask(served.server.base(), &["--json", "--client-token", "wrong"])?;
    assert_eq!(told.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&told.stdout)?;
    assert_eq!(
        (&json["ok"], &json["host"]),
        (&false.into(), &served.server.base().into())
    );
    let checks = json["checks"].as_array().unwrap();
    let named = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(named("key")["verdict"], "fail");
    assert!(
        named("key")["fix"]
            .as_str()
            .unwrap()
            .contains("CLIENT_API_KEY")
    );
    assert_eq!(named("websocket")["verdict"], "ok");
    assert_eq!(named("proxy")["verdict"], "skip");
    assert_eq!(checks.len(), 11);
    Ok(())
}

#[test]
fn a_base_path_that_is_left_out_or_made_up_is_named() -> Result<()> {
    let based = serve(|setup| setup.env("BASE_PATH", "/grid"))?;
    let host = based.server.base();
    let root = host.trim_end_matches("/grid");
    let told = ask(root, &[])?;
    told.assert_fails(
        "server",
        &format!("{root} answers, but not below /"),
        &format!("--host {host}"),
    );
    let plain = serve(|setup| setup)?;
    let root = plain.server.base();
    let told = ask(&format!("{root}/grid"), &[])?;
    told.assert_fails(
        "server",
        &format!("{root} answers, but not below /grid/"),
        &format!("--host {root},"),
    );
    Ok(())
}

#[test]
fn no_key_a_wrong_key_and_too_many_wrong_ones_are_three_things() -> Result<()> {
    let served = serve(|setup| setup.env("TRUST_PROXY", "1"))?;
    let host = proxy::start(served.server.base(), good_proxy())?;
    let none = ask(&host, &["--client-token", ""])?;
    // An empty flag is no key, and neither is looked for elsewhere.
    none.assert_fails("key", "there is none", "export CLIENT_API_KEY");
    let wrong = ask(&host, &["--client-token", "wrong"])?;
    wrong.assert_fails(
        "key",
        "the server does not accept it",
        "take CLIENT_API_KEY from",
    );
    let secrets = served.data.path().join("secrets.env");
    std::fs::write(&secrets, format!("CLIENT_API_KEY={KEY}\n"))?;
    let file = secrets.to_str().unwrap();
    let other = ask(&host, &["--client-token", "wrong", "--env-file", file])?;
    other.assert_fails(
        "key",
        &format!("the server does not accept it, and {file} has another"),
        "export CLIENT_API_KEY=\"$(sed",
    );
    let guesser = ApiClient::new(&host, "guess");
    while guesser.get("/api/auth/check")?.status != 429 {}
    let throttled = ask(&host, &[])?;
    throttled.assert_fails(
        "key",
        "this address has shown too many wrong keys (status 429)",
        "then show the right one",
    );
    Ok(())
}

#[test]
fn an_address_that_asks_too_often_is_told_to_wait() -> Result<()> {
    let served = serve(|setup| setup.env("TRUST_PROXY", "1").env("API_RATE_LIMIT_MAX", "1"))?;
    let host = proxy::start(served.server.base(), good_proxy())?;
    let told = ask(&host, &[])?;
    told.assert_fails(
        "key",
        "this address has asked too often (status 429)",
        "API_RATE_LIMIT_MAX",
    );
    Ok(())
}

#[test]
fn a_proxy_that_takes_the_authorization_is_told_from_a_wrong_key() -> Result<()> {
    let served = serve(|setup| setup)?;
    let rules = Rules::of_requests(|head| head.remove("Authorization"));
    let told = ask(&proxy::start(served.server.base(), rules)?, &[])?;
    told.assert_fails(
        "key",
        "the key is good, but the Authorization header does not arrive as it was sent",
        "pass Authorization on",
    );
    Ok(())
}

#[test]
fn a_clock_that_is_off_is_told_whose_it_is() -> Result<()> {
    let served = serve(|setup| setup)?;
    let dated = Rules::of_answers(|head, _| head.set("Date", "Thu, 01 Jan 2015 00:00:00 GMT"));
    let told = ask(&proxy::start(served.server.base(), dated)?, &[])?;
    assert_eq!(told.code, Some(0), "{told:?}");
    let (line, fix) = told.lines_of("clock");
    assert!(
        line.starts_with("warn the server's agrees with this one, but its answers are dated "),
        "{line}"
    );
    assert!(line.ends_with(" h behind it"), "{line}");
    assert_eq!(fix, "set the clock of the proxy in front (NTP)");

    let late = Rules::of_answers(|_, body| {
        if let Ok(mut health) = serde_json::from_slice::<serde_json::Value>(body)
            && health["now"].is_string()
        {
            health["now"] = "2015-01-01T00:00:00.000Z".into();
            *body = health.to_string().into_bytes();
        }
    });
    let told = ask(&proxy::start(served.server.base(), late)?, &[])?;
    assert_eq!(told.code, Some(1), "{told:?}");
    let (line, fix) = told.lines_of("clock");
    assert!(
        line.ends_with(" h behind this one: invites seem to expire too early or too late"),
        "{line}"
    );
    assert!(fix.contains("the server's machine"), "{fix}");
    assert_eq!(told.failed().len(), 1, "{told:?}");
    Ok(())
}

#[test]
fn a_redirect_a_login_a_page_and_a_dead_upstream_are_four_things() -> Result<()> {
    let served = serve(|setup| setup)?;
    let base = served.server.base();
    let through = |answer: &'static str| -> Result<(String, Told)> {
        let rules = Rules::answering(move |_| Some(answer.to_owned()));
        let host = proxy::start(base, rules)?;
        let told = ask(&host, &[])?;
        Ok((host, told))
    };
    let (_, page) = through(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
         <html><h1>Welcome to nginx!</h1></html>",
    )?;
    page.assert_fails(
        "server",
        "a web page (status 200) came instead of the server's answer: <html><h1>Welcome to \
         nginx!</h1></html>",
        "let the proxy pass on all below it",
    );
    let (_, login) = through("HTTP/1.1 401 X\r\nconnection: close\r\n\r\n<html>Log in</html>")?;
    login.assert_fails(
        "server",
        "something in front of the server wants a login (status 401)",
        "without a login",
    );
    let (_, dead) = through("HTTP/1.1 502 X\r\nconnection: close\r\n\r\n<html>Bad Gateway</html>")?;
    dead.assert_fails(
        "server",
        "a proxy answers, but it does not reach the server (status 502)",
        "start the server",
    );
    let (_, elsewhere) = through(
        "HTTP/1.1 302 Found\r\nlocation: https://login.example/?next=x\r\nconnection: close\r\n\r\n",
    )?;
    elsewhere.assert_fails(
        "server",
        "the request is redirected to https://login.example/?next=x",
        "login page",
    );
    Ok(())
}

#[test]
fn plain_http_that_is_redirected_to_https_is_answered_with_the_right_line() -> Result<()> {
    let served = serve(|setup| setup)?;
    let rules = Rules {
        request: Arc::new(|head| {
            let path = head.first.split(' ').nth(1)?;
            let to = format!("https://{}{path}", head.get("host")?);
            Some(format!(
                "HTTP/1.1 308 X\r\nlocation: {to}\r\nconnection: close\r\n\r\n"
            ))
        }),
        ..Rules::none()
    };
    let host = proxy::start(served.server.base(), rules)?;
    let told = ask(&host, &[])?;
    told.assert_fails(
        "server",
        "plain http is redirected to https",
        &format!("--host {}", host.replacen("http", "https", 1)),
    );
    Ok(())
}

#[test]
fn a_proxy_that_strips_the_upgrade_is_told_with_the_lines_that_pass_it_on() -> Result<()> {
    let served = serve(|setup| setup.env("BASE_PATH", "/grid"))?;
    let strips = Rules::of_requests(|head| {
        head.remove("Upgrade");
        head.set("Connection", "close");
    });
    let told = ask(&proxy::start(served.server.base(), strips)?, &[])?;
    told.assert_fails(
        "websocket",
        "the handshake arrives as a plain request: Upgrade, Connection or Sec-WebSocket-Protocol is \
         lost on the way",
        "proxy_set_header Upgrade $http_upgrade",
    );
    assert!(told.lines_of("origin").0.starts_with("skip"), "{told:?}");
    assert_eq!(told.failed().len(), 1, "{told:?}");
    Ok(())
}

#[test]
fn a_socket_that_opens_but_is_of_no_use_is_told() -> Result<()> {
    let served = serve(|setup| setup)?;
    let base = served.server.base();
    let nameless = Rules::of_answers(|head, _| head.remove("Sec-WebSocket-Protocol"));
    let told = ask(&proxy::start(base, nameless)?, &[])?;
    told.assert_fails(
        "websocket",
        "it opens, but without the subprotocol cluster.v1",
        "Sec-WebSocket-Protocol",
    );
    let mute = Rules {
        passes_frames: false,
        ..Rules::none()
    };
    let told = ask(&proxy::start(base, mute)?, &[])?;
    assert_eq!(told.code, Some(1), "{told:?}");
    let (line, fix) = told.lines_of("websocket");
    assert!(
        line.starts_with("fail it opens, but what is sent does not come back"),
        "{line}"
    );
    assert!(fix.contains("in both directions"), "{fix}");
    let page = Rules::answering(|path| {
        let answer = "HTTP/1.1 404 X\r\nconnection: close\r\n\r\n<html>nothing here</html>";
        path.starts_with("/ws/").then(|| answer.to_owned())
    });
    let told = ask(&proxy::start(base, page)?, &[])?;
    told.assert_fails(
        "websocket",
        "something else than the server answers the handshake, with status 404",
        "pass /ws/worker on",
    );
    Ok(())
}

#[test]
fn a_proxy_that_changes_the_host_fails_browsers_and_invites_alone() -> Result<()> {
    let served = serve(|setup| setup)?;
    let rules = Rules::of_requests(|head| head.set("Host", "backend:8080"));
    let host = proxy::start(served.server.base(), rules)?;
    let told = ask(&host, &[])?;
    told.assert_fails(
        "origin",
        &format!("the server takes pages of {host} for those of a stranger"),
        &format!("ALLOWED_ORIGINS={host}"),
    );
    told.assert_fails(
        "address",
        &format!(
            "invites begin with http://backend:8080, which is not how clients reach it, {host}"
        ),
        "proxy_set_header Host $http_host",
    );
    assert!(told.lines_of("websocket").0.starts_with("ok"), "{told:?}");
    assert_eq!(told.failed().len(), 2, "{told:?}");
    Ok(())
}

#[test]
fn a_proxy_in_front_must_be_believed_and_only_for_what_it_saw() -> Result<()> {
    let distrustful = serve(|setup| setup)?;
    let told = ask(&proxy::start(distrustful.server.base(), good_proxy())?, &[])?;
    told.assert_fails(
        "proxy",
        "a proxy at 127.0.0.1 says that it serves 198.51.100.4, but is not believed: all its clients \
         count as 127.0.0.1, which no limit holds for",
        "set TRUST_PROXY=127.0.0.1, or to 1",
    );
    let trusting = serve(|setup| setup.env("TRUST_PROXY", "1"))?;
    let base = trusting.server.base();
    let told = ask(&proxy::start(base, good_proxy())?, &[])?;
    told.assert_fine(
        "proxy",
        "ok one proxy is in front of the server, which counts this machine as 198.51.100.4 and takes \
         no other word for it",
    );
    let parrot = Rules::of_requests(|head| head.set("Via", "1.1 parrot"));
    let told = ask(&proxy::start(base, parrot)?, &[])?;
    told.assert_fails(
        "proxy",
        "the proxy at 127.0.0.1 passes X-Forwarded-For on as it came, and the server believes it: \
         anybody can pretend to be anybody",
        "$proxy_add_x_forwarded_for",
    );
    let silent = Rules::of_requests(|head| head.remove("X-Forwarded-For"));
    let told = ask(&proxy::start(base, silent)?, &[])?;
    told.assert_fails(
        "proxy",
        "a proxy at 127.0.0.1 does not say whom it serves: all its clients count as 127.0.0.1",
        "$proxy_add_x_forwarded_for",
    );
    let second = Rules::of_requests(|head| head.append("X-Forwarded-For", "192.0.2.9"));
    let inner = proxy::start(base, second)?;
    let told = ask(&proxy::start(&inner, good_proxy())?, &[])?;
    told.assert_fails(
        "proxy",
        "2 proxies stand in a row, but one is believed: all clients count as 192.0.2.9, which is the \
         outer one",
        "set TRUST_PROXY=127.0.0.1,192.0.2.9",
    );
    let direct = ask(base, &[])?;
    assert_eq!(direct.code, Some(0), "{direct:?}");
    let (line, fix) = direct.lines_of("proxy");
    assert!(
        line.starts_with("warn asked on the server's own machine"),
        "{line}"
    );
    assert_eq!(fix, "set --host to the address that clients use");
    Ok(())
}

#[test]
fn networks_of_proxies_are_checked_hop_by_hop() -> Result<()> {
    let served = serve(|setup| setup.env("TRUST_PROXY", "127.0.0.1,192.0.2.9"))?;
    let row = Rules::of_requests(|head| {
        head.append("X-Forwarded-For", CLIENT);
        head.append("X-Forwarded-For", "192.0.2.9");
    });
    let told = ask(&proxy::start(served.server.base(), row)?, &[])?;
    told.assert_fine(
        "proxy",
        "ok 2 proxies are in front of the server, which counts this machine as 198.51.100.4 and takes \
         no other word for it",
    );
    let elsewhere = serve(|setup| setup.env("TRUST_PROXY", "10.0.0.0/8"))?;
    let told = ask(&proxy::start(elsewhere.server.base(), good_proxy())?, &[])?;
    told.assert_fails(
        "proxy",
        "the proxy at 127.0.0.1 is in none of the networks of TRUST_PROXY",
        "add 127.0.0.1 to TRUST_PROXY",
    );
    Ok(())
}

#[test]
fn a_signing_key_of_another_server_is_noticed_in_files_and_invites() -> Result<()> {
    let [ours, other] = [serve(|setup| setup)?, serve(|setup| setup)?];
    let host = ours.server.base();
    let own = ours.data.path().join("secrets.env");
    let told = ask(host, &["--env-file", own.to_str().unwrap()])?;
    assert_eq!(told.code, Some(0), "{told:?}");
    let (line, _) = told.lines_of("signing key");
    assert!(
        line.ends_with(&format!("and {} has the same key", own.display())),
        "{line}"
    );

    let foreign = other.data.path().join("secrets.env");
    let told = ask(host, &["--env-file", foreign.to_str().unwrap()])?;
    assert_eq!(told.code, Some(1), "{told:?}");
    let (line, fix) = told.lines_of("signing key");
    assert!(line.starts_with("fail the server signs with "), "{line}");
    assert!(
        line.ends_with(&format!("which is not the key in {}", foreign.display())),
        "{line}"
    );
    assert!(
        fix.contains("start the server again with that file"),
        "{fix}"
    );

    let invite = other.server.api().invite_url()?;
    let told = ask(host, &["--invite", &invite])?;
    assert_eq!(told.code, Some(1), "{told:?}");
    let (line, _) = told.lines_of("invite");
    assert!(line.starts_with("fail it names the signing key "), "{line}");
    assert!(line.ends_with("workers refuse that"), "{line}");
    let replaced = ours.server.api().invite_url()?;
    ours.server.api().invite()?;
    let told = ask(host, &["--invite", &replaced])?;
    told.assert_fails("invite", "it was replaced by a newer one", "cluster invite");
    let gone = format!("{host}/j/zzzzzzz");
    let told = ask(host, &["--invite", &gone])?;
    told.assert_fails(
        "invite",
        "the server does not know this link",
        "cluster invite",
    );
    Ok(())
}
