//! Puts the table to real servers and keeps what they answer.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use shared::wire::ByeReason;
use tempfile::TempDir;
use tests_e2e::{ServerProcess, ServerSetup, artifacts};

use crate::answer::{Answer, Expect, is_of_the_contract};
use crate::pattern::{Known, remember, text_filled_in};
use crate::row::{Act, Ask, Row, Stage};
use crate::worker::{Device, Worker};

/// How long an answer may take to become what is waited for.
const UNTIL_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// An answer with what it must be, and with what was known when it came.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) place: String,
    pub(crate) expect: Expect,
    pub(crate) answer: Answer,
    pub(crate) known: Known,
}

/// Plays one stage.
pub(crate) async fn stage(stage: Stage) -> Result<Vec<Recorded>> {
    let mut player = Player::start(&stage).await?;
    let mut recorded = Vec::new();
    for row in stage.rows {
        let place = format!("{} · {} · {}", stage.name, row.section, row.claim);
        let played = player.play(row, &place).await;
        recorded.extend(played.with_context(|| place.clone())?);
    }
    player.end().await?;
    Ok(recorded)
}

struct Player {
    server: ServerProcess,
    data: TempDir,
    agent: ureq::Agent,
    key: String,
    signing_key: String,
    known: Known,
    workers: BTreeMap<&'static str, Worker>,
}

impl Player {
    async fn start(stage: &Stage) -> Result<Self> {
        let data = TempDir::with_prefix("cluster-contract-")?;
        let setting = |name: &str| stage.settings.iter().find(|(given, _)| *given == name);
        let key = setting("CLIENT_API_KEY").map_or(crate::table::KEY, |(_, key)| key);
        let mut setup = ServerSetup::new(artifacts::program("cluster-server")?, data.path(), key)?;
        for (name, value) in &stage.settings {
            setup = setup.env(*name, value);
        }
        let server = setup.start()?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let base = server.base().to_owned();
        let root = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let mut player = Self {
            server,
            data,
            agent: agent.into(),
            key: key.to_owned(),
            signing_key: String::new(),
            known: Known::from([
                ("base".into(), json!(base)),
                (
                    "authority".into(),
                    json!(root.trim_start_matches("http://")),
                ),
                ("root".into(), json!(root)),
            ]),
            workers: BTreeMap::new(),
        };
        let config = player.ask(&crate::row::get("/api/public-config")).await?;
        let signing_key = config.body["jobSigningPublicKeySpkiB64"].as_str();
        player.signing_key = signing_key.context("a signing key")?.to_owned();
        Ok(player)
    }

    async fn end(mut self) -> Result<()> {
        for (_, worker) in std::mem::take(&mut self.workers) {
            worker.leave().await?;
        }
        let status = tokio::task::block_in_place(|| self.server.stop())?;
        ensure!(status.success(), "the server ended with {status}");
        drop(self.data);
        Ok(())
    }

    async fn play(&mut self, row: Row, place: &str) -> Result<Option<Recorded>> {
        let Some(answer) = self.act(row.act).await? else {
            return Ok(None);
        };
        let Some(expect) = row.expect else {
            return Ok(None);
        };
        let known = self.known.clone();
        remember(&expect.body, &answer.body, &mut self.known);
        Ok(Some(Recorded {
            place: place.into(),
            expect,
            answer,
            known,
        }))
    }

    async fn act(&mut self, act: Act) -> Result<Option<Answer>> {
        match act {
            Act::Ask { ask, until } => {
                return self.ask_until(&ask, until).await.map(Some);
            }
            Act::Repeat(ask, times) => {
                for _ in 0..times {
                    self.ask(&ask).await?;
                }
            }
            Act::Decode(decode) => return Ok(Some(shown(decode(&self.known)))),
            Act::Run(arguments) => return self.run(&arguments).await.map(Some),
            Act::Refuse(name, value) => return refused(name, &value).map(Some),
            Act::Help(name) => return help(name).map(Some),
            Act::Join(name, invite, device) => {
                return self.join(name, invite, &device).await.map(Some);
            }
            Act::Leave(name) => self.worker(name)?.leave().await?,
            Act::Release(name) => {
                let worker = self.workers.get(name).context("it has joined")?;
                worker.release().await?;
            }
            Act::ExpireInvites => {
                let database = rusqlite::Connection::open(self.data.path().join("cluster.db"))?;
                database.execute("UPDATE invites SET expires_sec = 1", ())?;
            }
        }
        Ok(None)
    }

    fn worker(&mut self, name: &str) -> Result<Worker> {
        self.workers.remove(name).context("it has joined")
    }

    /// The reason is recorded where it is not let in.
    async fn join(&mut self, name: &'static str, invite: &str, device: &Device) -> Result<Answer> {
        let invite = text_filled_in(invite, &self.known);
        let base = self.server.base();
        let joined = Worker::join(base, &self.signing_key, &invite, name, device).await?;
        Ok(shown(match joined {
            Ok(worker) => {
                self.workers.insert(name, worker);
                json!("welcome")
            }
            Err(ByeReason::Unauthorized(reason)) => json!(reason),
            Err(other) => bail!("{other:?}"),
        }))
    }

    async fn run(&self, arguments: &[String]) -> Result<Answer> {
        let mut command = Command::new(artifacts::program("cluster")?);
        command
            .env_clear()
            .env("HOME", "/nonexistent")
            .current_dir(self.data.path())
            .args(
                arguments
                    .iter()
                    .map(|text| text_filled_in(text, &self.known)),
            )
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let (stdout, stderr) = (
            String::from_utf8(output.stdout)?,
            String::from_utf8(output.stderr)?,
        );
        Ok(shown(json!({
            "exit": output.status.code(),
            "stdout": without_passing_states(stdout.lines().collect()),
            "stderr": stderr.lines().collect::<Vec<_>>(),
        })))
    }

    async fn ask_until(&self, ask: &Ask, until: Option<(&'static str, Value)>) -> Result<Answer> {
        let deadline = Instant::now() + UNTIL_LIMIT;
        loop {
            let answer = self.ask(ask).await?;
            let Some((pointer, value)) = &until else {
                return Ok(answer);
            };
            let is_there = answer.body.pointer(pointer) == Some(value);
            // An answer that never becomes what it must be is judged as it is.
            if is_there || Instant::now() > deadline {
                return Ok(answer);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn ask(&self, ask: &Ask) -> Result<Answer> {
        let from = if ask.at_root { "{root}" } else { "{base}" };
        let url = text_filled_in(&format!("{from}{}", ask.path), &self.known);
        let mut request = ureq::http::Request::builder().method(ask.method).uri(url);
        if ask.has_key {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        for (name, value) in &ask.headers {
            request = request.header(name, text_filled_in(value, &self.known));
        }
        let body = match String::from_utf8(ask.body.clone()) {
            Ok(text) => text_filled_in(&text, &self.known).into_bytes(),
            Err(no_text) => no_text.into_bytes(),
        };
        let (request, agent) = (request.body(body)?, self.agent.clone());
        tokio::task::spawn_blocking(move || {
            let mut answer = agent.run(request)?;
            let text = answer.body_mut().read_to_string()?;
            let headers = answer.headers().iter();
            Ok(Answer {
                status: answer.status().as_u16(),
                headers: headers
                    .filter(|(name, _)| is_of_the_contract(name.as_str()))
                    .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
                    .collect::<Result<_>>()?,
                body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            })
        })
        .await?
    }
}

fn shown(body: Value) -> Answer {
    Answer {
        status: 0,
        headers: BTreeMap::new(),
        body,
    }
}

/// Whether a job is seen while it waits or runs is a matter of time: of several states that are
/// shown, two lines each, the last is kept.
fn without_passing_states(mut lines: Vec<&str>) -> Vec<&str> {
    let is_state = |line: &&str| line.starts_with("Status: ");
    while let Some(first) = lines.iter().position(is_state)
        && lines.get(first + 2).is_some_and(is_state)
    {
        lines.drain(first..first + 2);
    }
    lines
}

/// What a server says that is started with this setting; it must end.
fn refused(name: &str, value: &str) -> Result<Answer> {
    let data = TempDir::with_prefix("cluster-contract-")?;
    let setup = ServerSetup::new(
        artifacts::program("cluster-server")?,
        data.path(),
        crate::table::KEY,
    )?;
    let ended = tokio::task::block_in_place(|| setup.env(name, value).run_to_end())?;
    Ok(shown(json!({
        "exit": ended.status.code(),
        "stderr": ended.stderr.lines().collect::<Vec<_>>(),
    })))
}

/// The brackets of a setting in `--help`, in one line.
fn help(name: &str) -> Result<Answer> {
    let output = Command::new(artifacts::program("cluster-server")?)
        .env_clear()
        .arg("--help")
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let begin = words.find(&format!("[{name}: ")).context("it is listed")?;
    let end = words[begin..].find(']').context("a bracket closes")?;
    Ok(shown(json!(words[begin + 1..begin + end])))
}
