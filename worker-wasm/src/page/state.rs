//! What the page knows, and what it shows of it. Pure: `apply` takes in what happened, `view` says
//! how the page looks, `dom` makes it look so.

use shared::ids::{JobId, WorkerId};
use shared::wire::{ByeReason, RefusalReason};

use super::chart::Chart;
use super::source::{Source, SourceView};
use super::texts;
use crate::messages::{FromRuntime, JobView, LinkView, PauseView, RuntimeStatus, SelfTestOutcome};
use crate::rules::PauseCause;

#[cfg(test)]
mod tests;

/// Kinds of refusals that are listed, the latest first.
const MAX_REFUSALS: usize = 8;
/// Shards of a job that are named.
const MAX_NAMED: usize = 8;

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// What this page was opened with: something to join with, or nothing.
    Opened {
        /// An invitation or a session of old.
        has_credential: bool,
        /// The device has worked here before.
        is_returning: bool,
    },
    /// The server told its signing key; its fingerprint.
    KeyKnown { fingerprint: String },
    /// The server could not be asked; it is asked again.
    ServerUnreachable,
    /// Nothing can be done here.
    Blocked(Obstacle),
    /// The volunteer pressed Start.
    Started,
    /// The volunteer pressed Leave.
    LeaveAsked,
    /// The runtime said something.
    Runtime(FromRuntime),
    /// Whether the browser believes that there is a network.
    Online(bool),
    /// What runs is to be shown to its end.
    SourceWanted,
    /// It is not to be shown any more.
    SourceClosed,
}

/// Why nothing can be started here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    NoInvite,
    /// The server does not let anybody in with the invitation, for this reason.
    DeadInvite(String),
    /// The browser lacks this.
    OldBrowser(&'static str),
    BadKey,
    /// The invitation names another key.
    OtherKey,
    /// The server has another key than when the page was opened.
    KeyChanged,
    /// These things were not blocked.
    OpenSandbox(Vec<String>),
    RuntimeBroke,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    reason: RefusalReason,
    detail: String,
    times: u32,
}

/// What the page knows.
#[derive(Debug, Default)]
pub(super) struct State {
    obstacle: Option<Obstacle>,
    /// Something came under a key that is not the server's, and the time is not known since.
    is_key_unknown: bool,
    has_credential: bool,
    is_returning: bool,
    is_server_unreachable: bool,
    fingerprint: Option<String>,
    probes: Option<u16>,
    is_started: bool,
    is_leaving: bool,
    worker: Option<WorkerId>,
    has_joined: bool,
    is_offline: bool,
    status: Option<RuntimeStatus>,
    chart: Chart,
    source: Option<Source>,
    refusals: Vec<Refusal>,
}

/// The state as a word: `data-state` of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Preparing,
    Blocked,
    Ready,
    Connecting,
    Checking,
    Idle,
    Running,
    Paused,
    Finishing,
    Reconnecting,
    Left,
    Dismissed,
}

impl Mode {
    /// The word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Connecting => "connecting",
            Self::Checking => "checking",
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finishing => "finishing",
            Self::Reconnecting => "reconnecting",
            Self::Left => "left",
            Self::Dismissed => "dismissed",
        }
    }
}

/// How the page looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: &'static str,
    /// What pauses it, as a word; empty for nothing.
    pub(super) cause: &'static str,
    /// What is going on, in a few words. Announced when it changes.
    pub(super) headline: String,
    /// What that means, or what to do. Announced when it changes.
    pub(super) explanation: String,
    /// Changes too often to be announced.
    pub(super) countdown: String,
    pub(super) self_test: String,
    pub(super) fingerprint: String,
    pub(super) start_label: &'static str,
    pub(super) can_start: bool,
    pub(super) is_consent_shown: bool,
    pub(super) can_leave: bool,
    pub(super) can_pause: bool,
    pub(super) can_finish: bool,
    /// What runs can be handed back.
    pub(super) can_stop: bool,
    /// What the button says that ends a pause; empty for none.
    pub(super) resume_label: &'static str,
    pub(super) are_settings_shown: bool,
    pub(super) is_slowed: bool,
    /// What was done here is worth showing.
    pub(super) is_work_shown: bool,
    /// There is a field to type an invitation into.
    pub(super) is_invite_asked: bool,
    /// What the button says that loads the page anew; empty for none.
    pub(super) again_label: &'static str,
    pub(super) done: String,
    pub(super) running: String,
    pub(super) waiting: String,
    pub(super) slots: String,
    pub(super) units: String,
    pub(super) computing_time: String,
    pub(super) uptime: String,
    pub(super) traffic: String,
    pub(super) chart: String,
    pub(super) chart_text: String,
    pub(super) jobs: Vec<JobLine>,
    pub(super) source: Option<SourceView>,
    pub(super) device: String,
    pub(super) refusals: Vec<String>,
}

/// A job at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobLine {
    pub(super) job: JobId,
    pub(super) text: String,
}

impl State {
    /// Takes in what happened.
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Opened {
                has_credential,
                is_returning,
            } => {
                self.has_credential = has_credential;
                self.is_returning = is_returning;
                if !has_credential {
                    self.block(Obstacle::NoInvite);
                }
            }
            Event::KeyKnown { fingerprint } => {
                self.is_server_unreachable = false;
                self.fingerprint = Some(fingerprint);
            }
            Event::ServerUnreachable => self.is_server_unreachable = true,
            Event::Blocked(obstacle) => self.block(obstacle),
            Event::Started => self.is_started = true,
            Event::LeaveAsked => self.is_leaving = true,
            Event::Runtime(message) => self.runtime_said(message),
            Event::Online(is_online) => self.is_offline = !is_online,
            Event::SourceWanted => {
                if let Some(source) = &mut self.source {
                    source.show_all();
                }
            }
            Event::SourceClosed => self.source = None,
        }
    }

    /// Whether Start may be pressed: there is something to join with, the key is known, and the
    /// sandbox has proved itself.
    pub(super) fn can_start(&self) -> bool {
        self.mode() == Mode::Ready
    }

    /// How the page looks.
    pub(super) fn view(&self) -> View {
        let mode = self.mode();
        let (headline, explanation) = self.words(mode);
        let status = self.status.as_ref();
        let count = |pick: fn(&RuntimeStatus) -> u64| texts::grouped(status.map_or(0, pick));
        let can_leave = !matches!(
            mode,
            Mode::Preparing | Mode::Blocked | Mode::Ready | Mode::Left | Mode::Dismissed
        );
        let pause = self.pause().filter(|_| can_leave);
        let is_by_hand = pause.is_some_and(|it| it.cause == PauseCause::Hand);
        let is_finishing = status.is_some_and(|it| it.is_finishing);
        View {
            state: mode.word(),
            cause: pause.map_or("", |it| texts::pause_word(it.cause)),
            headline: headline.into(),
            explanation,
            countdown: self.countdown(),
            self_test: self.self_test(),
            fingerprint: self
                .fingerprint
                .as_deref()
                .map_or_else(String::new, in_fours),
            start_label: if self.is_returning {
                "Start again"
            } else {
                "Start"
            },
            can_start: mode == Mode::Ready,
            is_consent_shown: matches!(mode, Mode::Preparing | Mode::Blocked | Mode::Ready),
            can_leave,
            can_pause: can_leave && !is_by_hand && !is_finishing,
            can_finish: can_leave && !is_finishing,
            can_stop: (pause.is_some() || is_finishing)
                && can_leave
                && status.is_some_and(|it| it.running > 0),
            resume_label: match pause {
                Some(_) if is_finishing => "",
                Some(_) if is_by_hand => "Resume",
                Some(_) => "Compute anyway",
                None => "",
            },
            are_settings_shown: can_leave || matches!(mode, Mode::Preparing | Mode::Ready),
            is_slowed: can_leave && status.is_some_and(|it| it.is_slowed),
            is_work_shown: match mode {
                Mode::Preparing | Mode::Blocked | Mode::Ready => false,
                Mode::Left | Mode::Dismissed => status.is_some_and(|status| status.done > 0),
                Mode::Connecting
                | Mode::Checking
                | Mode::Idle
                | Mode::Running
                | Mode::Paused
                | Mode::Finishing
                | Mode::Reconnecting => true,
            },
            is_invite_asked: self.needs_invite(mode),
            again_label: self.again_label(mode),
            done: count(|status| status.done),
            running: count(|status| status.running.into()),
            waiting: count(|status| status.queued.into()),
            slots: count(|status| status.slots.into()),
            units: count(|status| status.units),
            computing_time: texts::duration(status.map_or(0, |status| status.run_ms / 1000)),
            uptime: texts::duration(status.map_or(0, |status| status.uptime_s.into())),
            traffic: texts::bytes(status.map_or(0, |status| status.day_bytes)),
            chart: self.chart.points(),
            chart_text: self.chart.words(),
            jobs: status
                .filter(|_| can_leave)
                .map_or_else(Vec::new, |status| status.jobs.iter().map(line_of).collect()),
            source: self.source.as_ref().filter(|_| can_leave).map(Source::view),
            device: self
                .worker
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            refusals: self.refusal_lines(),
        }
    }

    /// Whether another invitation is the only way on.
    fn needs_invite(&self, mode: Mode) -> bool {
        match mode {
            Mode::Blocked => matches!(
                self.obstacle,
                Some(Obstacle::NoInvite | Obstacle::DeadInvite(_))
            ),
            Mode::Dismissed => self.bye().is_some_and(texts::needs_invite),
            Mode::Preparing
            | Mode::Ready
            | Mode::Connecting
            | Mode::Checking
            | Mode::Idle
            | Mode::Running
            | Mode::Paused
            | Mode::Finishing
            | Mode::Reconnecting
            | Mode::Left => false,
        }
    }

    fn again_label(&self, mode: Mode) -> &'static str {
        match mode {
            Mode::Left => "Join again",
            Mode::Dismissed if !self.needs_invite(mode) => "Try again",
            Mode::Blocked
                if matches!(
                    self.obstacle,
                    Some(Obstacle::RuntimeBroke | Obstacle::KeyChanged)
                ) =>
            {
                "Try again"
            }
            Mode::Preparing
            | Mode::Blocked
            | Mode::Ready
            | Mode::Connecting
            | Mode::Checking
            | Mode::Idle
            | Mode::Running
            | Mode::Paused
            | Mode::Finishing
            | Mode::Reconnecting
            | Mode::Dismissed => "",
        }
    }

    fn block(&mut self, obstacle: Obstacle) {
        self.obstacle.get_or_insert(obstacle);
    }

    fn runtime_said(&mut self, message: FromRuntime) {
        match message {
            FromRuntime::Booted | FromRuntime::NeedFrame => {}
            FromRuntime::SelfTested(SelfTestOutcome::Passed { probes }) => {
                self.probes = Some(probes);
            }
            FromRuntime::SelfTested(SelfTestOutcome::Failed(open)) => {
                self.block(Obstacle::OpenSandbox(open));
            }
            FromRuntime::Joined { worker, .. } => {
                self.has_joined = true;
                self.worker = Some(worker);
            }
            FromRuntime::Refused { reason, detail } => {
                self.is_key_unknown |= reason == RefusalReason::UnknownKey;
                self.note_refusal(reason, detail);
            }
            FromRuntime::Status(status) => {
                self.chart.observe(status.uptime_s, status.done);
                self.judge_key(&status);
                self.status = Some(status);
            }
            FromRuntime::Source { job, texts } => self.source = Some(Source::new(job, texts)),
        }
    }

    /// An unknown key alone may be a stranger's doing. A server that cannot prove the time either has
    /// another key than the one that was checked here.
    fn judge_key(&mut self, status: &RuntimeStatus) {
        self.is_key_unknown &= !status.is_time_known;
        if self.is_key_unknown && status.link == LinkView::Joined {
            self.block(Obstacle::KeyChanged);
        }
    }

    /// Whether nothing may run here any more.
    pub(super) const fn is_blocked(&self) -> bool {
        self.obstacle.is_some()
    }

    fn note_refusal(&mut self, reason: RefusalReason, detail: String) {
        let known = self.refusals.iter().position(|it| it.reason == reason);
        let times = known.map_or(0, |place| self.refusals.remove(place).times);
        self.refusals.truncate(MAX_REFUSALS - 1);
        let times = times + 1;
        self.refusals.insert(
            0,
            Refusal {
                reason,
                detail,
                times,
            },
        );
    }

    fn mode(&self) -> Mode {
        if self.obstacle.is_some() {
            return Mode::Blocked;
        }
        if !self.is_started {
            let is_ready =
                self.has_credential && self.fingerprint.is_some() && self.probes.is_some();
            return if is_ready {
                Mode::Ready
            } else {
                Mode::Preparing
            };
        }
        if self.is_leaving {
            return Mode::Left;
        }
        let Some(status) = &self.status else {
            return Mode::Connecting;
        };
        match &status.link {
            LinkView::Connecting | LinkView::Waiting { .. } if self.has_joined => {
                Mode::Reconnecting
            }
            LinkView::Connecting | LinkView::Waiting { .. } => Mode::Connecting,
            LinkView::Joined if !status.is_time_known => Mode::Checking,
            LinkView::Joined if status.is_finishing => Mode::Finishing,
            LinkView::Joined if status.pause.is_some() => Mode::Paused,
            // What waits is held up by a rest at most.
            LinkView::Joined if status.running + status.queued > 0 => Mode::Running,
            LinkView::Joined => Mode::Idle,
            LinkView::Left => Mode::Left,
            LinkView::Dismissed(_) => Mode::Dismissed,
        }
    }

    fn words(&self, mode: Mode) -> (&'static str, String) {
        match mode {
            Mode::Preparing if self.is_server_unreachable => (
                "The server does not answer",
                "Check the connection of this device. The page keeps trying.".into(),
            ),
            Mode::Preparing => ("One moment", "Checking this browser and the server.".into()),
            Mode::Blocked => self.obstacle.as_ref().map_or_else(
                || ("", String::new()),
                |obstacle| {
                    (
                        texts::obstacle_headline(obstacle),
                        texts::obstacle(obstacle),
                    )
                },
            ),
            Mode::Ready if self.is_returning => (
                "Welcome back",
                "Nothing runs until you press Start again.".into(),
            ),
            Mode::Ready => (
                "Ready when you are",
                "Nothing runs until you press Start.".into(),
            ),
            Mode::Connecting => match self.status.as_ref().map(|status| &status.link) {
                Some(LinkView::Waiting {
                    reason: Some(reason),
                    ..
                }) => ("Not let in yet", texts::dismissal(reason).into()),
                Some(LinkView::Waiting { reason: None, .. }) => (
                    "Connecting",
                    "The server does not answer. The page keeps trying.".into(),
                ),
                Some(
                    LinkView::Connecting
                    | LinkView::Joined
                    | LinkView::Left
                    | LinkView::Dismissed(_),
                )
                | None => ("Connecting", "Joining the cluster.".into()),
            },
            Mode::Checking => ("Verifying", "Asking the server for the exact time.".into()),
            Mode::Idle => (
                "Waiting for work",
                "Connected. Work starts by itself.".into(),
            ),
            Mode::Running => (
                "Computing",
                "Every task is checked against its signature before it runs.".into(),
            ),
            Mode::Paused => (
                "Paused",
                self.pause().map_or("", |it| texts::pause(it.cause)).into(),
            ),
            Mode::Finishing => (
                "Finishing",
                "Nothing more starts. The page leaves once the server has every result.".into(),
            ),
            Mode::Reconnecting => (
                "Reconnecting",
                [
                    self.why_lost(),
                    " Finished results are kept and sent again.",
                ]
                .concat(),
            ),
            Mode::Left => (
                "You have left",
                "Nothing runs here any more. Thank you. You can close this page.".into(),
            ),
            Mode::Dismissed => self.bye().map_or_else(
                || ("", String::new()),
                |bye| (texts::dismissal_headline(bye), texts::dismissal(bye).into()),
            ),
        }
    }

    fn pause(&self) -> Option<PauseView> {
        self.status.as_ref()?.pause
    }

    /// Why there is no connection.
    fn why_lost(&self) -> &'static str {
        match self.status.as_ref().map(|status| &status.link) {
            Some(LinkView::Waiting {
                reason: Some(reason),
                ..
            }) => texts::dismissal(reason),
            Some(_) | None if self.is_offline => "This device is offline.",
            Some(_) | None => "The connection was lost.",
        }
    }

    /// Why the server does not want this device any more.
    fn bye(&self) -> Option<&ByeReason> {
        match self.status.as_ref().map(|status| &status.link) {
            Some(LinkView::Dismissed(reason)) => Some(reason),
            Some(
                LinkView::Connecting | LinkView::Joined | LinkView::Waiting { .. } | LinkView::Left,
            )
            | None => None,
        }
    }

    fn countdown(&self) -> String {
        let ends_in_s = self.pause().and_then(|it| it.ends_in_s);
        if let Some(seconds) = ends_in_s.filter(|_| self.mode() == Mode::Paused) {
            return ["Goes on in ", &texts::duration(seconds.into()), "."].concat();
        }
        match self.status.as_ref().map(|status| &status.link) {
            Some(LinkView::Waiting { retry_in_ms, .. }) if !self.is_leaving => {
                let seconds = u64::from(retry_in_ms.div_ceil(1000));
                ["Next try in ", &texts::duration(seconds), "."].concat()
            }
            Some(
                LinkView::Waiting { .. }
                | LinkView::Connecting
                | LinkView::Joined
                | LinkView::Left
                | LinkView::Dismissed(_),
            )
            | None => String::new(),
        }
    }

    fn self_test(&self) -> String {
        match (&self.obstacle, self.probes) {
            (Some(Obstacle::OpenSandbox(open)), _) => [
                "Sandbox: ",
                &texts::grouped(open.len() as u64),
                " of the attempts to get out were not blocked.",
            ]
            .concat(),
            (_, Some(probes)) => [
                "Sandbox tested on this device: all ",
                &texts::grouped(probes.into()),
                " attempts to get out were blocked.",
            ]
            .concat(),
            (_, None) => "Testing the sandbox on this device.".into(),
        }
    }

    fn refusal_lines(&self) -> Vec<String> {
        let line = |refusal: &Refusal| {
            let words = texts::refusal(refusal.reason);
            let times = texts::grouped(refusal.times.into());
            [&times, "\u{d7} ", words, " (", &refusal.detail, ")"].concat()
        };
        self.refusals.iter().map(line).collect()
    }
}

fn line_of(job: &JobView) -> JobLine {
    let id = job.job.to_string();
    let mut text = ["Job ", id.get(..8).unwrap_or_default()].concat();
    for (place, shard) in job.shards.iter().enumerate() {
        text += match place {
            0 if job.shards.len() == 1 => ", piece ",
            0 => ", pieces ",
            _ => ", ",
        };
        if place == MAX_NAMED {
            text.push('\u{2026}');
            break;
        }
        text += &shard.to_string();
    }
    JobLine { job: job.job, text }
}

/// Hex in groups of four, so that people can compare it.
fn in_fours(hex: &str) -> String {
    let mut groups = String::new();
    for (place, digit) in hex.chars().enumerate() {
        if place > 0 && place.is_multiple_of(4) {
            groups.push(' ');
        }
        groups.push(digit);
    }
    groups
}
