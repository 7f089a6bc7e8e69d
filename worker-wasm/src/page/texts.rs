//! Every sentence that the page says from code; what never changes stands in `pages/worker.html`.

use shared::wire::{ByeReason, RefusalReason};

use super::state::Obstacle;
use crate::rules::PauseCause;

/// The same in a few words.
pub(super) const fn obstacle_headline(obstacle: &Obstacle) -> &'static str {
    match obstacle {
        Obstacle::NoInvite => "An invitation is needed",
        Obstacle::DeadInvite(_) => "This invitation does not hold",
        Obstacle::OldBrowser(_) => "This browser is too old",
        Obstacle::BadKey | Obstacle::OtherKey | Obstacle::KeyChanged => "Do not continue here",
        Obstacle::OpenSandbox(_) => "This browser cannot take part",
        Obstacle::RuntimeBroke => "Something broke",
    }
}

/// Why this page cannot offer to start, and what a person can do about it.
pub(super) fn obstacle(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::NoInvite => {
            "This page needs an invitation. Open the link, or scan the code, that you were given, \
             or type its words here."
                .into()
        }
        Obstacle::DeadInvite(why) => unauthorized(why).into(),
        Obstacle::OldBrowser(missing) => [
            "This browser is too old: it lacks ",
            missing,
            ". A current version of Chrome, Edge, Firefox or Safari will do.",
        ]
        .concat(),
        Obstacle::BadKey => {
            "The server's signing key cannot be used, so nothing it sends could be checked. Please \
             tell whoever sent you here."
                .into()
        }
        Obstacle::OtherKey => {
            "The server signs with another key than your invitation names. Do not continue; ask \
             whoever sent you here for a new link."
                .into()
        }
        Obstacle::KeyChanged => {
            "The server signs with another key than before, so nothing it sends can be checked, and \
             nothing of it runs. Try again; if that leads nowhere, ask whoever sent you here."
                .into()
        }
        Obstacle::OpenSandbox(open) => [
            "This browser does not seal the sandbox tightly enough, so nothing will run here. Try \
             another browser. Not closed: ",
            &listed(open.iter().map(String::as_str)),
            ".",
        ]
        .concat(),
        Obstacle::RuntimeBroke => {
            "Something broke in this page. Reload it to try again; nothing is lost.".into()
        }
    }
}

/// Why an assignment was refused.
pub(super) const fn refusal(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Malformed => "not a signed assignment",
        RefusalReason::WrongAlgorithm => "signed in a way that is not accepted",
        RefusalReason::WrongType => "signed for another purpose",
        RefusalReason::UnknownKey => "signed with an unknown key",
        RefusalReason::BadSignature => "bad signature",
        RefusalReason::NotInTree => "not covered by the signature",
        RefusalReason::WrongVersion => "another version of the protocol",
        RefusalReason::ForeignWorker => "meant for another device",
        RefusalReason::ForeignSession => "meant for another session",
        RefusalReason::Replayed => "sent before (replayed)",
        RefusalReason::NonceCacheFull => "too many assignments to remember",
        RefusalReason::FromTheFuture => "signed in the future",
        RefusalReason::LifetimeTooLong => "valid for longer than allowed",
        RefusalReason::Expired => "expired",
        RefusalReason::WrongContent => "code or data differ from what was signed",
        RefusalReason::ContentUnavailable => "code or data could not be had",
        RefusalReason::ExpiredInQueue => "expired while it waited",
        RefusalReason::Stopped => "stopped here",
        RefusalReason::TimeUnknown => "the time was not known",
        RefusalReason::Interrupted => "interrupted by another task",
        RefusalReason::JobRefused => "refused on this device",
    }
}

/// The same in a few words.
pub(super) fn dismissal_headline(reason: &ByeReason) -> &'static str {
    if matches!(reason, ByeReason::Unauthorized(why) if why != ENDED) {
        "This invitation does not hold"
    } else {
        "Disconnected"
    }
}

/// Why the server does not want this device any more, and what a person can do about it.
pub(super) fn dismissal(reason: &ByeReason) -> &'static str {
    match reason {
        ByeReason::Unauthorized(why) => unauthorized(why),
        ByeReason::SessionUnknown => {
            "The server does not know this device any more. Ask for a new link."
        }
        ByeReason::ForeignWorkerId => {
            "Another device uses this device's name. Try again under a new one."
        }
        ByeReason::ProtocolViolation | ByeReason::UnsupportedVersion => {
            "This page and the server do not understand each other. Try again with a fresh page."
        }
        ByeReason::Replaced => "This device joined again elsewhere, in another tab perhaps.",
        ByeReason::TooSlow => "The connection was too slow.",
        ByeReason::Full => "The server has no room for more devices. Try again later.",
        ByeReason::ShuttingDown => "The server was shut down. Try again later.",
        ByeReason::Banned => "The operator has excluded this device. Ask whoever sent you here.",
    }
}

/// Why nothing starts.
pub(super) const fn pause(cause: PauseCause) -> &'static str {
    match cause {
        PauseCause::Hand => "You paused it. What runs may finish; nothing else starts.",
        PauseCause::Unplugged => "Not plugged in, and you allow work only then.",
        PauseCause::LowBattery => "The battery is low. It goes on once that has recovered.",
        PauseCause::Hidden => "This tab is hidden, and you allow work only while it is seen.",
        PauseCause::Hours => "It is not the time of day that you allow.",
        PauseCause::DataCap => "The data that you allow a day is used up.",
    }
}

/// The same as a word for programs.
pub(super) const fn pause_word(cause: PauseCause) -> &'static str {
    match cause {
        PauseCause::Hand => "hand",
        PauseCause::Unplugged => "unplugged",
        PauseCause::LowBattery => "battery",
        PauseCause::Hidden => "hidden",
        PauseCause::Hours => "hours",
        PauseCause::DataCap => "data",
    }
}

/// Whether only another invitation helps.
pub(super) const fn needs_invite(reason: &ByeReason) -> bool {
    match reason {
        ByeReason::Unauthorized(_) | ByeReason::SessionUnknown => true,
        ByeReason::ForeignWorkerId
        | ByeReason::ProtocolViolation
        | ByeReason::UnsupportedVersion
        | ByeReason::Replaced
        | ByeReason::TooSlow
        | ByeReason::Full
        | ByeReason::ShuttingDown
        | ByeReason::Banned => false,
    }
}

/// An operator has ended the session.
const ENDED: &str = "ended_session";

fn unauthorized(why: &str) -> &'static str {
    match why {
        "expired_token" => "The invitation has expired. Ask for a new link.",
        "stale_token" => "The invitation was replaced by a newer one. Ask for the new link.",
        "no_active_invite" => "No invitation is active at the moment. Ask for a new link.",
        "revoked_token" => "The invitation was withdrawn. Ask whoever sent you here.",
        "used_up_token" => "The invitation has been used up. Ask for a new link.",
        ENDED => "The operator has disconnected this device. Ask for a new link.",
        _ => "The invitation is not valid. Check that the link is complete, or ask for a new one.",
    }
}

/// `one, two, three`.
pub(super) fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for item in items {
        if !list.is_empty() {
            list += ", ";
        }
        list += item;
    }
    list
}

/// `1 h 05 min`, `5 min 07 s`, `7 s`.
pub(super) fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        [&hours.to_string(), " h ", &two_digits(minutes), " min"].concat()
    } else if minutes > 0 {
        [&minutes.to_string(), " min ", &two_digits(rest), " s"].concat()
    } else {
        [&rest.to_string(), " s"].concat()
    }
}

/// `1 234 567`, with spaces that do not break.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `999 kB`, `12.3 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes < 1_000_000 {
        return [&bytes.div_ceil(1_000).to_string(), " kB"].concat();
    }
    let tenths = bytes / 100_000;
    let (whole, tenth) = (grouped(tenths / 10), (tenths % 10).to_string());
    [&whole, ".", &tenth, " MB"].concat()
}

fn two_digits(number: u64) -> String {
    let text = number.to_string();
    if number < 10 {
        ["0", &text].concat()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(7), "7 s");
        assert_eq!(duration(307), "5 min 07 s");
        assert_eq!(duration(3_907), "1 h 05 min");
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn amounts_of_data_are_readable() {
        assert_eq!(bytes(0), "0 kB");
        assert_eq!(bytes(1), "1 kB");
        assert_eq!(bytes(1_250_000), "1.2 MB");
        assert_eq!(bytes(1_234_567_890), "1\u{202f}234.5 MB");
    }

    #[test]
    fn every_reason_of_an_invite_has_its_own_sentence() {
        let reasons = [
            "expired_token",
            "stale_token",
            "no_active_invite",
            "invalid_signature",
            "revoked_token",
            "used_up_token",
            "ended_session",
        ];
        let sentences: std::collections::BTreeSet<_> = reasons.map(unauthorized).into();
        assert_eq!(sentences.len(), reasons.len());
    }
}
