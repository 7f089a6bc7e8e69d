//! What the page keeps between visits: the device's name and secret, the session token, what the
//! volunteer allows and has used today; and in this tab the invitation and a pause.
//!
//! Two places: the tab's own storage, which a reload keeps and no other tab sees, and the device's.
//! A second tab works as a worker of its own, so what it gets must not overwrite what the first tab
//! will come back with. Where storage is blocked, both places are memory.

use shared::ids::{Nonce, WorkerId, WorkerSecret};
use shared::wire::Credential;

use crate::settings::Settings;

const WORKER: &str = "cluster_worker_id";
const SECRET: &str = "cluster_worker_secret";
const TOKEN: &str = "cluster_session_token";
const INVITE: &str = "cluster_worker_invite";
const SETTINGS: &str = "cluster_worker_settings";
const TRAFFIC: &str = "cluster_worker_traffic";
const PAUSE: &str = "cluster_worker_pause";

/// Characters of a fresh name after `worker-`.
const NAME_LENGTH: usize = 6;

/// A place that keeps texts by name, as well as it can.
pub(super) trait Shelf {
    fn get(&self, key: &str) -> Option<String>;
    fn set(&self, key: &str, value: &str);
}

/// See the module.
pub(super) struct Keepsakes<S> {
    tab: S,
    device: S,
}

impl<S: Shelf> Keepsakes<S> {
    pub(super) const fn new(tab: S, device: S) -> Self {
        Self { tab, device }
    }

    /// Keeps the invitation for this tab.
    pub(super) fn keep_invite(&self, invite: &str) {
        self.tab.set(INVITE, invite);
    }

    pub(super) fn invite(&self) -> Option<String> {
        self.tab.get(INVITE)
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::parse(&self.device.get(SETTINGS).unwrap_or_default())
    }

    pub(super) fn keep_settings(&self, settings: &Settings) {
        self.device.set(SETTINGS, &settings.line());
    }

    /// The pause that this tab is in: until then, in milliseconds since 1970, or for good.
    pub(super) fn pause(&self) -> Option<Option<u64>> {
        let kept = self.tab.get(PAUSE).filter(|kept| !kept.is_empty())?;
        Some(kept.parse().ok())
    }

    pub(super) fn keep_pause(&self, pause: Option<Option<u64>>) {
        let text = match pause {
            None => String::new(),
            Some(None) => "for good".into(),
            Some(Some(until)) => until.to_string(),
        };
        self.tab.set(PAUSE, &text);
    }

    /// Bytes that this device has carried on `day`, with `more` added.
    pub(super) fn carry(&self, day: u32, more: u64) -> u64 {
        let kept = self.device.get(TRAFFIC).unwrap_or_default();
        let kept = kept.split_once(' ').and_then(|(of, bytes)| {
            let is_of_day = of.parse() == Ok(day);
            bytes.parse::<u64>().ok().filter(|_| is_of_day)
        });
        let bytes = kept.unwrap_or(0).saturating_add(more);
        let text = [&day.to_string(), " ", &bytes.to_string()].concat();
        self.device.set(TRAFFIC, &text);
        bytes
    }

    /// The name to go by; made of `random` on a device that has none.
    pub(super) fn worker(&self, random: &[u8; 16]) -> WorkerId {
        let kept = [self.tab.get(WORKER), self.device.get(WORKER)];
        let kept = kept
            .into_iter()
            .flatten()
            .find_map(|text| text.parse().ok());
        kept.unwrap_or_else(|| {
            let fresh = fresh_name(random);
            self.device.set(WORKER, fresh.as_str());
            fresh
        })
    }

    /// The secret that the name belongs to; `random` on a device that has none.
    pub(super) fn secret(&self, random: [u8; 16]) -> WorkerSecret {
        let kept = self.device.get(SECRET).and_then(|text| text.parse().ok());
        let bytes = kept.unwrap_or_else(|| {
            let fresh = Nonce::from_bytes(random);
            self.device.set(SECRET, &fresh.to_string());
            fresh
        });
        WorkerSecret::from_bytes(*bytes.as_bytes())
    }

    /// What to join with as `worker`: the session of old, else the invitation.
    pub(super) fn credential(&self, worker: &WorkerId) -> Option<Credential> {
        let is_own = |shelf: &S| shelf.get(WORKER).as_deref() == Some(worker.as_str());
        let token_in = |shelf: &S| shelf.get(TOKEN).filter(|_| is_own(shelf));
        match token_in(&self.tab).or_else(|| token_in(&self.device)) {
            Some(token) => Some(Credential::Session {
                token,
                resume: false,
            }),
            None => self.invite().map(Credential::Invite),
        }
    }

    /// Keeps what the server gave. The device takes it over too, unless it has a session of its own
    /// under another name.
    pub(super) fn joined(&self, worker: &WorkerId, token: &str) {
        let keep = |shelf: &S| {
            shelf.set(WORKER, worker.as_str());
            shelf.set(TOKEN, token);
        };
        keep(&self.tab);
        let is_same = self.device.get(WORKER).as_deref() == Some(worker.as_str());
        if is_same || self.device.get(TOKEN).is_none() {
            keep(&self.device);
        }
    }
}

fn fresh_name(random: &[u8; 16]) -> WorkerId {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters = random[..NAME_LENGTH]
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let name: String = "worker-".chars().chain(letters).collect();
    name.parse().expect("letters, digits and a hyphen")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Memory(Rc<RefCell<BTreeMap<String, String>>>);

    impl Shelf for Memory {
        fn get(&self, key: &str) -> Option<String> {
            self.0.borrow().get(key).cloned()
        }

        fn set(&self, key: &str, value: &str) {
            self.0.borrow_mut().insert(key.into(), value.into());
        }
    }

    fn tab_of(device: &Memory) -> Keepsakes<Memory> {
        Keepsakes::new(Memory::default(), device.clone())
    }

    fn session(token: &str) -> Option<Credential> {
        Some(Credential::Session {
            token: token.into(),
            resume: false,
        })
    }

    #[test]
    fn a_device_keeps_its_name_and_secret() {
        let device = Memory::default();
        let name = tab_of(&device).worker(&[1; 16]);
        assert_eq!(name.as_str().len(), "worker-".len() + NAME_LENGTH);
        assert_eq!(tab_of(&device).worker(&[2; 16]), name);
        let secret = tab_of(&device).secret([3; 16]);
        assert_eq!(tab_of(&device).secret([4; 16]), secret);
    }

    #[test]
    fn settings_belong_to_the_device_and_a_pause_to_the_tab() {
        let device = Memory::default();
        let tab = tab_of(&device);
        let settings = Settings::parse("3 50");
        tab.keep_settings(&settings);
        assert_eq!(tab_of(&device).settings(), settings);
        for pause in [Some(None), Some(Some(5)), None] {
            tab.keep_pause(pause);
            assert_eq!(tab.pause(), pause);
        }
        tab.keep_pause(Some(None));
        assert_eq!(tab_of(&device).pause(), None);
    }

    #[test]
    fn all_tabs_of_a_device_add_to_the_data_of_a_day() {
        let device = Memory::default();
        assert_eq!(tab_of(&device).carry(7, 5), 5);
        assert_eq!(tab_of(&device).carry(7, 6), 11);
        assert_eq!(tab_of(&device).carry(8, 1), 1);
        device.set(TRAFFIC, "nonsense");
        assert_eq!(tab_of(&device).carry(8, 1), 1);
    }

    #[test]
    fn a_name_from_an_earlier_page_is_kept() {
        let device = Memory::default();
        device.set(WORKER, "worker-ab12cd");
        assert_eq!(tab_of(&device).worker(&[1; 16]).as_str(), "worker-ab12cd");
        device.set(WORKER, "not a name");
        assert_ne!(tab_of(&device).worker(&[1; 16]).as_str(), "not a name");
    }

    #[test]
    fn the_invitation_opens_the_first_visit_and_the_token_the_next() {
        let device = Memory::default();
        let tab = tab_of(&device);
        let worker = tab.worker(&[1; 16]);
        assert_eq!(tab.credential(&worker), None);
        tab.keep_invite("v1.a.b");
        assert_eq!(
            tab.credential(&worker),
            Some(Credential::Invite("v1.a.b".into()))
        );
        tab.joined(&worker, "token");
        assert_eq!(tab.credential(&worker), session("token"));
        assert_eq!(tab_of(&device).credential(&worker), session("token"));
    }

    #[test]
    fn a_second_tab_leaves_the_first_ones_session_alone() {
        let device = Memory::default();
        let first = tab_of(&device);
        let name = first.worker(&[1; 16]);
        first.joined(&name, "first");
        let second = tab_of(&device);
        let other: WorkerId = "worker-second".parse().unwrap();
        second.joined(&other, "second");
        assert_eq!(second.worker(&[9; 16]), other);
        assert_eq!(second.credential(&other), session("second"));
        assert_eq!(tab_of(&device).worker(&[9; 16]), name);
        assert_eq!(tab_of(&device).credential(&name), session("first"));
    }

    #[test]
    fn a_name_that_was_never_let_in_is_given_up_for_the_one_that_was() {
        let device = Memory::default();
        device.set(WORKER, "worker-taken");
        let tab = tab_of(&device);
        let given: WorkerId = "worker-given".parse().unwrap();
        tab.joined(&given, "token");
        assert_eq!(tab_of(&device).worker(&[9; 16]), given);
    }
}
