//! A reverse proxy that breaks one thing.
//!
//! One request a connection, nothing kept alive: enough to stand in front of one server and one
//! careful client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

/// First line and headers of a request or an answer.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) first: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(named)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.into(), value.into()));
    }

    /// Adds to a list, as proxies do.
    pub(super) fn append(&mut self, name: &str, value: &str) {
        let line = match self.get(name) {
            Some(before) => format!("{before}, {value}"),
            None => value.into(),
        };
        self.set(name, &line);
    }

    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let first = lines.next()?;
        let pair = |line: String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Some(Self {
            first,
            headers: lines.filter_map(pair).collect(),
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// Changes a request, or answers it.
type RequestRule = dyn Fn(&mut Head) -> Option<String> + Send + Sync;

/// Changes an answer and its body.
type AnswerRule = dyn Fn(&mut Head, &mut Vec<u8>) + Send + Sync;

/// What the proxy does to what passes through it.
#[derive(Clone)]
pub(super) struct Rules {
    /// Changes a request, or answers it itself.
    pub(super) request: Arc<RequestRule>,
    /// Changes an answer and its body.
    pub(super) answer: Arc<AnswerRule>,
    /// Whether anything is passed on after an upgrade.
    pub(super) passes_frames: bool,
}

impl Rules {
    /// Changes nothing.
    pub(super) fn none() -> Self {
        Self {
            request: Arc::new(|_| None),
            answer: Arc::new(|_, _| {}),
            passes_frames: true,
        }
    }

    /// Changes requests.
    pub(super) fn of_requests(change: impl Fn(&mut Head) + Send + Sync + 'static) -> Self {
        let request = move |head: &mut Head| {
            change(head);
            None
        };
        Self {
            request: Arc::new(request),
            ..Self::none()
        }
    }

    /// Answers some requests itself, by their path.
    pub(super) fn answering(
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let request = move |head: &mut Head| answer(head.first.split(' ').nth(1)?);
        Self {
            request: Arc::new(request),
            ..Self::none()
        }
    }

    /// Changes answers.
    pub(super) fn of_answers(
        change: impl Fn(&mut Head, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(change),
            ..Self::none()
        }
    }
}

/// Starts a proxy in front of `upstream`, an `http://` address; its own with the same path. It lives
/// as long as the test.
pub(super) fn start(upstream: &str, rules: Rules) -> std::io::Result<String> {
    let rest = upstream.trim_start_matches("http://");
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let authority = authority.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (authority, rules) = (authority.clone(), rules.clone());
            std::thread::spawn(move || pass(client, &authority, &rules));
        }
    });
    let slash = if path.is_empty() { "" } else { "/" };
    Ok(format!("http://127.0.0.1:{port}{slash}{path}"))
}

/// `None` once either side is gone.
fn pass(client: TcpStream, authority: &str, rules: &Rules) -> Option<()> {
    let mut from_client = BufReader::new(client.try_clone().ok()?);
    let mut client = client;
    let mut request = Head::read(&mut from_client)?;
    if let Some(answer) = (rules.request)(&mut request) {
        return client.write_all(answer.as_bytes()).ok();
    }
    if request.get("upgrade").is_none() {
        request.set("Connection", "close");
    }
    let mut server = TcpStream::connect(authority).ok()?;
    server.write_all(&request.to_bytes()).ok()?;
    let mut from_server = BufReader::new(server.try_clone().ok()?);
    let mut answer = Head::read(&mut from_server)?;
    let is_upgraded = answer.first.contains(" 101 ");
    let mut body = Vec::new();
    if !is_upgraded {
        // The server keeps the connection after a handshake that it has refused.
        let length = answer.get("content-length")?.parse().ok()?;
        let mut rest = from_server.by_ref().take(length);
        rest.read_to_end(&mut body).ok()?;
    }
    (rules.answer)(&mut answer, &mut body);
    if !is_upgraded {
        answer.set("Content-Length", &body.len().to_string());
        answer.set("Connection", "close");
    }
    client.write_all(&answer.to_bytes()).ok()?;
    client.write_all(&body).ok()?;
    if is_upgraded && rules.passes_frames {
        let back = client.try_clone().ok()?;
        std::thread::spawn(move || splice(from_server, back));
        splice(from_client, server);
    }
    Some(())
}

fn splice(mut from: impl Read, mut to: TcpStream) {
    // Either side may go at any time; then the other is told.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
