//! What the page knows, and what it shows of it. Pure: `apply` takes in what happened, `view` says
//! how the page looks, `dom` makes it look so.

use shared::ids::WorkerId;
use shared::wire::{ByeReason, RefusalReason};

use super::texts;
use crate::messages::{FromRuntime, LinkView, RuntimeStatus, SelfTestOutcome};

/// Kinds of refusals that are listed, the latest first.
const MAX_REFUSALS: usize = 8;

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
    has_credential: bool,
    is_returning: bool,
    is_server_unreachable: bool,
    fingerprint: Option<String>,
    probes: Option<u16>,
    is_started: bool,
    is_leaving: bool,
    worker: Option<WorkerId>,
    has_joined: bool,
    status: Option<RuntimeStatus>,
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
    /// What was done here is worth showing.
    pub(super) is_work_shown: bool,
    /// There is a field to type an invitation into.
    pub(super) is_invite_asked: bool,
    /// What the button says that loads the page anew; empty for none.
    pub(super) again_label: &'static str,
    pub(super) done: String,
    pub(super) running: String,
    pub(super) waiting: String,
    pub(super) computing_time: String,
    pub(super) device: String,
    pub(super) refusals: Vec<String>,
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
        View {
            state: mode.word(),
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
            can_leave: !matches!(
                mode,
                Mode::Preparing | Mode::Blocked | Mode::Ready | Mode::Left | Mode::Dismissed
            ),
            is_work_shown: match mode {
                Mode::Preparing | Mode::Blocked | Mode::Ready => false,
                Mode::Left | Mode::Dismissed => status.is_some_and(|status| status.done > 0),
                Mode::Connecting
                | Mode::Checking
                | Mode::Idle
                | Mode::Running
                | Mode::Reconnecting => true,
            },
            is_invite_asked: self.needs_invite(mode),
            again_label: self.again_label(mode),
            done: count(|status| status.done),
            running: count(|status| status.running.into()),
            waiting: count(|status| status.queued.into()),
            computing_time: texts::duration(status.map_or(0, |status| status.run_ms / 1000)),
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
            | Mode::Reconnecting
            | Mode::Left => false,
        }
    }

    fn again_label(&self, mode: Mode) -> &'static str {
        match mode {
            Mode::Left => "Join again",
            Mode::Dismissed if !self.needs_invite(mode) => "Try again",
            Mode::Blocked if self.obstacle == Some(Obstacle::RuntimeBroke) => "Try again",
            Mode::Preparing
            | Mode::Blocked
            | Mode::Ready
            | Mode::Connecting
            | Mode::Checking
            | Mode::Idle
            | Mode::Running
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
            FromRuntime::Refused { reason, detail } => self.note_refusal(reason, detail),
            FromRuntime::Status(status) => self.status = Some(status),
        }
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
            LinkView::Joined if status.running > 0 => Mode::Running,
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
            Mode::Connecting => ("Connecting", "Joining the cluster.".into()),
            Mode::Checking => ("Verifying", "Asking the server for the exact time.".into()),
            Mode::Idle => (
                "Waiting for work",
                "Connected. Work starts by itself.".into(),
            ),
            Mode::Running => (
                "Computing",
                "Every task is checked against its signature before it runs.".into(),
            ),
            Mode::Reconnecting => (
                "Reconnecting",
                "The connection was lost. Finished results are kept and sent again.".into(),
            ),
            Mode::Left => (
                "You have left",
                "Nothing runs here any more. Thank you. You can close this page.".into(),
            ),
            Mode::Dismissed => (
                "Disconnected",
                self.bye().map(texts::dismissal).unwrap_or_default().into(),
            ),
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
        match self.status.as_ref().map(|status| &status.link) {
            Some(LinkView::Waiting { retry_in_ms }) if !self.is_leaving => {
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

/// Hex in groups of four, so that people can compare it.
fn in_fours(hex: &str) -> String {
    let groups: Vec<&str> = (0..hex.len())
        .step_by(4)
        .filter_map(|at| hex.get(at..(at + 4).min(hex.len())))
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> State {
        let mut state = State::default();
        state.apply(Event::Opened {
            has_credential: true,
            is_returning: false,
        });
        state
    }

    fn ready() -> State {
        let mut state = opened();
        state.apply(Event::KeyKnown {
            fingerprint: "0123456789ab".into(),
        });
        let passed = SelfTestOutcome::Passed { probes: 30 };
        state.apply(Event::Runtime(FromRuntime::SelfTested(passed)));
        state
    }

    fn status(link: LinkView) -> RuntimeStatus {
        RuntimeStatus {
            link,
            is_time_known: true,
            slots: 2,
            running: 0,
            queued: 0,
            unconfirmed: 0,
            done: 0,
            run_ms: 0,
            refused_jobs: 0,
        }
    }

    fn working(status: RuntimeStatus) -> State {
        let mut state = ready();
        state.apply(Event::Started);
        let joined = FromRuntime::Joined {
            worker: "worker-ab12cd".parse().unwrap(),
            token: "secret".into(),
        };
        state.apply(Event::Runtime(joined));
        state.apply(Event::Runtime(FromRuntime::Status(status)));
        state
    }

    #[test]
    fn start_is_offered_only_after_key_and_self_test() {
        let mut state = opened();
        assert!(!state.can_start());
        state.apply(Event::KeyKnown {
            fingerprint: "00".into(),
        });
        assert!(!state.can_start());
        let passed = SelfTestOutcome::Passed { probes: 30 };
        state.apply(Event::Runtime(FromRuntime::SelfTested(passed)));
        assert!(state.can_start());
        assert_eq!(state.view().fingerprint, "00");
    }

    #[test]
    fn without_an_invitation_the_page_asks_for_one() {
        let mut state = State::default();
        state.apply(Event::Opened {
            has_credential: false,
            is_returning: false,
        });
        let view = state.view();
        assert_eq!((view.state, view.can_start), ("blocked", false));
        assert!(view.explanation.contains("invitation"));
    }

    #[test]
    fn an_open_sandbox_blocks_for_good_and_says_what_was_open() {
        let mut state = opened();
        let failed = SelfTestOutcome::Failed(vec!["fetch: open".into()]);
        state.apply(Event::Runtime(FromRuntime::SelfTested(failed)));
        state.apply(Event::KeyKnown {
            fingerprint: "00".into(),
        });
        let view = state.view();
        assert_eq!((view.state, view.can_start), ("blocked", false));
        assert!(view.explanation.contains("fetch: open"));
    }

    #[test]
    fn the_first_obstacle_is_the_one_that_is_shown() {
        let mut state = opened();
        state.apply(Event::Blocked(Obstacle::OtherKey));
        state.apply(Event::Blocked(Obstacle::RuntimeBroke));
        assert!(state.view().explanation.contains("another key"));
    }

    #[test]
    fn an_unreachable_server_is_said_until_it_answers() {
        let mut state = opened();
        state.apply(Event::ServerUnreachable);
        assert!(state.view().headline.contains("does not answer"));
        state.apply(Event::KeyKnown {
            fingerprint: "00".into(),
        });
        assert_eq!(state.view().headline, "One moment");
    }

    #[test]
    fn the_state_follows_the_link() {
        let mut busy = status(LinkView::Joined);
        busy.running = 2;
        let mut untimed = status(LinkView::Joined);
        untimed.is_time_known = false;
        let expired = ByeReason::Unauthorized("expired_token".into());
        for (status, word) in [
            (status(LinkView::Joined), "idle"),
            (busy, "running"),
            (untimed, "checking"),
            (status(LinkView::Connecting), "reconnecting"),
            (
                status(LinkView::Waiting { retry_in_ms: 10 }),
                "reconnecting",
            ),
            (status(LinkView::Left), "left"),
            (status(LinkView::Dismissed(expired)), "dismissed"),
        ] {
            assert_eq!(working(status).view().state, word);
        }
    }

    #[test]
    fn before_it_has_joined_it_connects() {
        let mut state = ready();
        state.apply(Event::Started);
        assert_eq!(state.view().state, "connecting");
        let waiting = status(LinkView::Waiting { retry_in_ms: 1 });
        state.apply(Event::Runtime(FromRuntime::Status(waiting)));
        assert_eq!(state.view().state, "connecting");
    }

    #[test]
    fn the_countdown_is_apart_from_what_is_announced() {
        let at = |retry_in_ms| working(status(LinkView::Waiting { retry_in_ms })).view();
        let (early, late) = (at(4_200), at(1_000));
        assert_eq!(early.countdown, "Next try in 5 s.");
        assert_eq!(late.countdown, "Next try in 1 s.");
        assert_eq!(early.headline, late.headline);
        assert_eq!(early.explanation, late.explanation);
    }

    #[test]
    fn leaving_shows_at_once_and_cannot_be_asked_twice() {
        let mut state = working(status(LinkView::Joined));
        assert!(state.view().can_leave);
        state.apply(Event::LeaveAsked);
        let view = state.view();
        assert_eq!((view.state, view.can_leave), ("left", false));
    }

    #[test]
    fn a_dead_invitation_is_told_before_anything_is_asked() {
        let mut state = ready();
        let reason = Obstacle::DeadInvite("stale_token".into());
        state.apply(Event::Blocked(reason));
        let view = state.view();
        assert!(!view.can_start && view.is_invite_asked);
        assert!(view.explanation.contains("newer"), "{}", view.explanation);
    }

    #[test]
    fn every_end_has_a_way_on() {
        let shown = |link| working(status(link)).view();
        let ended = |reason| shown(LinkView::Dismissed(reason));
        let left = shown(LinkView::Left);
        assert_eq!(
            (left.again_label, left.is_invite_asked),
            ("Join again", false)
        );
        let full = ended(ByeReason::Full);
        assert_eq!(
            (full.again_label, full.is_invite_asked),
            ("Try again", false)
        );
        let stale = ended(ByeReason::Unauthorized("stale_token".into()));
        assert_eq!((stale.again_label, stale.is_invite_asked), ("", true));
        let joined = shown(LinkView::Joined);
        assert_eq!((joined.again_label, joined.is_invite_asked), ("", false));
    }

    #[test]
    fn nothing_done_is_not_shown_as_a_score() {
        let after = |done| {
            let mut left = status(LinkView::Left);
            left.done = done;
            working(left).view().is_work_shown
        };
        assert!(!after(0) && after(1));
        assert!(working(status(LinkView::Joined)).view().is_work_shown);
    }

    #[test]
    fn refusals_are_counted_by_reason_the_latest_first() {
        let mut state = working(status(LinkView::Joined));
        for reason in [
            RefusalReason::Expired,
            RefusalReason::BadSignature,
            RefusalReason::Expired,
        ] {
            state.apply(Event::Runtime(FromRuntime::Refused {
                reason,
                detail: "why".into(),
            }));
        }
        let lines = state.view().refusals;
        assert_eq!(
            lines,
            ["2\u{d7} expired (why)", "1\u{d7} bad signature (why)"]
        );
    }

    #[test]
    fn fingerprints_are_grouped() {
        assert_eq!(in_fours("0123456789ab"), "0123 4567 89ab");
        assert_eq!(in_fours("01234"), "0123 4");
    }
}
