//! Whether work may start: by the volunteer's word, by the rules, and until the last result is safe
//! before leaving.
//!
//! Lives here: pauses, their end, and when what runs is handed back. Not here: the rules themselves
//! (`rules`), what the session does with an order (`shared::session`). Pure: the driver asks for
//! [`Governor::next_order`] whenever something has changed, and at least every second.

use shared::time::{Reading, UnixMillis};

use crate::messages::PauseView;
use crate::rules::{PauseCause, Rules, Situation};
use crate::settings::Settings;

/// What runs when a rule begins to hold may go on for this long, in milliseconds: nobody may be there
/// to stop it.
const GRACE_MS: u64 = 60_000;

/// What the session is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Start nothing more, and hand back what waits.
    Pause,
    /// Go on.
    Resume,
    /// Hand back what runs.
    StopRunning,
    /// Nothing is left to lose: leave.
    Leave,
}

/// What the session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) running: usize,
    /// Results that the server has not confirmed.
    pub(super) undisposed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    Open,
    Finishing,
    Over,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Governor {
    pub(super) settings: Settings,
    rules: Rules,
    /// A pause by hand, until then or until it is ended by hand.
    by_hand: Option<Option<UnixMillis>>,
    cause: Option<PauseCause>,
    /// Since when the session has been paused.
    paused: Option<shared::time::Millis>,
    is_stop_asked: bool,
    stay: Stay,
}

impl Governor {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::default(),
            rules: Rules::default(),
            by_hand: None,
            cause: None,
            paused: None,
            is_stop_asked: false,
            stay: Stay::Open,
        }
    }

    /// The volunteer pauses, until `until` or for good.
    pub(super) const fn pause(&mut self, until: Option<UnixMillis>) {
        self.by_hand = Some(until);
    }

    /// The volunteer wants it to go on, whatever pauses it.
    pub(super) fn resume(&mut self) {
        self.by_hand = None;
        if let Some(cause) = self.cause {
            self.rules.override_once(cause);
        }
    }

    /// What runs is to be handed back, in a pause.
    pub(super) const fn stop(&mut self) {
        self.is_stop_asked = true;
    }

    /// Nothing more is to start, and the end of what runs is the end of it all.
    pub(super) const fn finish(&mut self) {
        self.stay = Stay::Finishing;
    }

    /// What to do next; call it until it is `None`, with what is held then.
    pub(super) fn next_order(
        &mut self,
        now: Reading,
        situation: &Situation,
        held: Held,
    ) -> Option<Order> {
        self.cause = self.cause_at(now, situation);
        let is_to_pause = self.cause.is_some() || self.stay != Stay::Open;
        match self.paused {
            None if is_to_pause => {
                self.paused = Some(now.mono);
                return Some(Order::Pause);
            }
            Some(_) if !is_to_pause => {
                self.paused = None;
                return Some(Order::Resume);
            }
            None | Some(_) => {}
        }
        let is_stop_asked = std::mem::take(&mut self.is_stop_asked);
        if held.running > 0 && self.paused.is_some() {
            return (is_stop_asked || self.is_overdue(now)).then_some(Order::StopRunning);
        }
        if self.stay == Stay::Finishing && held.undisposed == 0 {
            self.stay = Stay::Over;
            return Some(Order::Leave);
        }
        None
    }

    /// What to show of it.
    pub(super) fn pause_view(&self, now: Reading) -> Option<PauseView> {
        let cause = self.cause?;
        let until = self.by_hand.flatten();
        Some(PauseView {
            cause,
            ends_in_s: until.map(|until| {
                let left = until.since(now.wall).div_ceil(1_000);
                u32::try_from(left).unwrap_or(u32::MAX)
            }),
        })
    }

    /// Whether it is about to leave.
    pub(super) fn is_finishing(&self) -> bool {
        self.stay != Stay::Open
    }

    fn cause_at(&mut self, now: Reading, situation: &Situation) -> Option<PauseCause> {
        if self
            .by_hand
            .flatten()
            .is_some_and(|until| until <= now.wall)
        {
            self.by_hand = None;
        }
        let by_rule = self.rules.check(&self.settings, situation);
        self.by_hand.map(|_| PauseCause::Hand).or(by_rule)
    }

    fn is_overdue(&self, now: Reading) -> bool {
        let is_by_rule = self.cause.is_some_and(|cause| cause != PauseCause::Hand);
        let since = self.paused.unwrap_or(now.mono);
        is_by_rule && now.mono.since(since) >= GRACE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::time::Millis;

    const IDLE: Held = held(0, 0);

    const fn held(running: usize, undisposed: usize) -> Held {
        Held {
            running,
            undisposed,
        }
    }

    fn at(ms: u64) -> Reading {
        Reading {
            wall: UnixMillis(1_000_000 + ms),
            mono: Millis(ms),
        }
    }

    /// All orders at that time.
    fn orders(
        governor: &mut Governor,
        ms: u64,
        situation: &Situation,
        held: Held,
    ) -> Option<Order> {
        let order = governor.next_order(at(ms), situation, held);
        if order != Some(Order::StopRunning) {
            let next = governor.next_order(at(ms), situation, held);
            assert!(order.is_none() || next.is_none(), "{order:?}, {next:?}");
        }
        order
    }

    fn hidden() -> Situation {
        Situation {
            is_hidden: true,
            ..Situation::default()
        }
    }

    fn hiding() -> Governor {
        let mut governor = Governor::new();
        governor.settings.is_visible_only = true;
        governor
    }

    #[test]
    fn a_pause_by_hand_ends_by_itself_or_by_hand() {
        let here = Situation::default();
        let mut governor = Governor::new();
        assert_eq!(orders(&mut governor, 0, &here, IDLE), None);
        governor.pause(Some(at(600_000).wall));
        assert_eq!(orders(&mut governor, 0, &here, IDLE), Some(Order::Pause));
        let view = governor.pause_view(at(1)).unwrap();
        assert_eq!((view.cause, view.ends_in_s), (PauseCause::Hand, Some(600)));
        assert_eq!(orders(&mut governor, 599_999, &here, IDLE), None);
        let ended = orders(&mut governor, 600_000, &here, IDLE);
        assert_eq!(ended, Some(Order::Resume));
        governor.pause(None);
        let paused = orders(&mut governor, 700_000, &here, IDLE);
        assert_eq!(paused, Some(Order::Pause));
        assert_eq!(governor.pause_view(at(0)).unwrap().ends_in_s, None);
        governor.resume();
        let resumed = orders(&mut governor, 700_000, &here, IDLE);
        assert_eq!(resumed, Some(Order::Resume));
    }

    #[test]
    fn in_a_pause_by_hand_what_runs_may_finish_unless_it_is_stopped() {
        let here = Situation::default();
        let mut governor = Governor::new();
        governor.pause(None);
        orders(&mut governor, 0, &here, held(1, 0));
        let later = orders(&mut governor, 3_600_000, &here, held(1, 0));
        assert_eq!(later, None);
        governor.stop();
        let stopped = orders(&mut governor, 3_600_000, &here, held(1, 0));
        assert_eq!(stopped, Some(Order::StopRunning));
    }

    #[test]
    fn when_a_rule_pauses_what_runs_has_a_minute() {
        let mut governor = hiding();
        let paused = orders(&mut governor, 0, &hidden(), held(1, 0));
        assert_eq!(paused, Some(Order::Pause));
        assert_eq!(orders(&mut governor, 59_999, &hidden(), held(1, 0)), None);
        let stopped = orders(&mut governor, 60_000, &hidden(), held(1, 0));
        assert_eq!(stopped, Some(Order::StopRunning));
    }

    #[test]
    fn going_on_passes_over_the_rule_until_it_has_ended() {
        let mut governor = hiding();
        orders(&mut governor, 0, &hidden(), IDLE);
        governor.resume();
        let resumed = orders(&mut governor, 1, &hidden(), IDLE);
        assert_eq!(resumed, Some(Order::Resume));
        assert_eq!(orders(&mut governor, 2, &Situation::default(), IDLE), None);
        let again = orders(&mut governor, 3, &hidden(), IDLE);
        assert_eq!(again, Some(Order::Pause));
    }

    #[test]
    fn ending_a_pause_by_hand_is_no_word_about_the_rules() {
        let mut governor = hiding();
        governor.pause(None);
        orders(&mut governor, 0, &hidden(), IDLE);
        governor.resume();
        assert_eq!(orders(&mut governor, 1, &hidden(), IDLE), None);
        let view = governor.pause_view(at(1)).unwrap();
        assert_eq!(view.cause, PauseCause::Hidden);
    }

    #[test]
    fn whoever_finishes_leaves_with_the_last_confirmed_result() {
        let here = Situation::default();
        let mut governor = Governor::new();
        governor.finish();
        let paused = orders(&mut governor, 0, &here, held(1, 0));
        assert_eq!(paused, Some(Order::Pause));
        assert_eq!(orders(&mut governor, 1, &here, held(1, 0)), None);
        assert_eq!(orders(&mut governor, 2, &here, held(0, 1)), None);
        assert!(governor.is_finishing());
        assert_eq!(orders(&mut governor, 3, &here, IDLE), Some(Order::Leave));
        assert_eq!(orders(&mut governor, 4, &here, IDLE), None);
    }

    #[test]
    fn a_stop_that_was_asked_for_while_nothing_ran_hits_nothing_later() {
        let here = Situation::default();
        let mut governor = Governor::new();
        governor.stop();
        orders(&mut governor, 0, &here, held(1, 0));
        governor.pause(None);
        assert_eq!(orders(&mut governor, 1, &here, IDLE), Some(Order::Pause));
        assert_eq!(orders(&mut governor, 2, &here, held(1, 0)), None);
    }
}
