//! What a volunteer is shown, whatever has happened.

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
        units: 0,
        uptime_s: 0,
        pause: None,
        is_finishing: false,
        is_slowed: false,
        day: 0,
        day_bytes: 0,
        jobs: Vec::new(),
    }
}

const fn waiting(retry_in_ms: u32) -> LinkView {
    LinkView::Waiting {
        retry_in_ms,
        reason: None,
    }
}

fn paused(cause: PauseCause, running: u32) -> View {
    let mut paused = status(LinkView::Joined);
    paused.running = running;
    paused.pause = Some(PauseView {
        cause,
        ends_in_s: None,
    });
    working(paused).view()
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
fn a_server_whose_time_comes_under_another_key_is_not_believed() {
    let refused = || {
        Event::Runtime(FromRuntime::Refused {
            reason: RefusalReason::UnknownKey,
            detail: String::new(),
        })
    };
    let told = |is_time_known| {
        Event::Runtime(FromRuntime::Status(RuntimeStatus {
            is_time_known,
            ..status(LinkView::Joined)
        }))
    };
    let mut state = working(status(LinkView::Joined));
    for event in [refused(), told(true), told(false)] {
        state.apply(event);
        assert!(!state.is_blocked(), "a stranger's doing");
    }
    state.apply(refused());
    state.apply(told(false));
    let view = state.view();
    assert_eq!((view.state, view.again_label), ("blocked", "Try again"));
    assert!(!view.can_leave);
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
        (status(waiting(10)), "reconnecting"),
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
    let waiting = status(waiting(1));
    state.apply(Event::Runtime(FromRuntime::Status(waiting)));
    assert_eq!(state.view().state, "connecting");
}

#[test]
fn the_countdown_is_apart_from_what_is_announced() {
    let at = |retry_in_ms| working(status(waiting(retry_in_ms))).view();
    let (early, late) = (at(4_200), at(1_000));
    assert_eq!(early.countdown, "Next try in 5 s.");
    assert_eq!(late.countdown, "Next try in 1 s.");
    assert_eq!(early.headline, late.headline);
    assert_eq!(early.explanation, late.explanation);
}

#[test]
fn every_pause_names_its_cause_and_offers_to_go_on() {
    let by_hand = paused(PauseCause::Hand, 0);
    assert_eq!((by_hand.state, by_hand.cause), ("paused", "hand"));
    assert_eq!((by_hand.resume_label, by_hand.can_pause), ("Resume", false));
    let by_rule = paused(PauseCause::LowBattery, 0);
    assert_eq!((by_rule.state, by_rule.cause), ("paused", "battery"));
    assert_eq!(by_rule.resume_label, "Compute anyway");
    assert!(by_rule.can_pause, "for when the battery is full again");
    assert_ne!(by_hand.explanation, by_rule.explanation);
}

#[test]
fn what_runs_can_be_handed_back_only_in_a_pause() {
    assert!(paused(PauseCause::Hand, 1).can_stop);
    assert!(!paused(PauseCause::Hand, 0).can_stop);
    let mut busy = status(LinkView::Joined);
    busy.running = 1;
    assert!(!working(busy).view().can_stop);
}

#[test]
fn a_pause_with_an_end_counts_down() {
    let mut timed = status(LinkView::Joined);
    timed.pause = Some(PauseView {
        cause: PauseCause::Hand,
        ends_in_s: Some(65),
    });
    let countdown = working(timed).view().countdown;
    assert_eq!(countdown, "Goes on in 1 min 05 s.");
}

#[test]
fn who_is_finishing_can_still_leave_at_once_and_nothing_else() {
    let mut finishing = status(LinkView::Joined);
    finishing.is_finishing = true;
    finishing.running = 1;
    let view = working(finishing).view();
    assert_eq!(view.state, "finishing");
    assert!(view.can_leave && view.can_stop);
    assert!(!view.can_pause && !view.can_finish);
    assert_eq!(view.resume_label, "");
}

#[test]
fn a_rest_between_pieces_is_no_lack_of_work() {
    let mut resting = status(LinkView::Joined);
    resting.queued = 3;
    assert_eq!(working(resting).view().state, "running");
}

#[test]
fn the_reason_for_reconnecting_is_told() {
    let told = |state: &State| state.view().explanation;
    let mut state = working(status(waiting(1)));
    assert!(told(&state).starts_with("The connection was lost."));
    state.apply(Event::Online(false));
    assert!(told(&state).starts_with("This device is offline."));
    let stopped = working(status(LinkView::Waiting {
        retry_in_ms: 1,
        reason: Some(ByeReason::ShuttingDown),
    }));
    assert!(told(&stopped).contains("shut down"));
}

#[test]
fn jobs_are_named_with_the_pieces_that_run() {
    let shards = |shards: std::ops::Range<u64>| {
        line_of(&JobView {
            job: JobId::from_bytes([0xab; 16]),
            shards: shards.collect(),
        })
        .text
    };
    assert_eq!(shards(0..0), "Job abababab");
    assert_eq!(shards(7..8), "Job abababab, piece 7");
    assert_eq!(shards(7..9), "Job abababab, pieces 7, 8");
    assert!(shards(0..9).ends_with(", 7, \u{2026}"));
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
