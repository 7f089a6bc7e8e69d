//! Code and args that assignments need: which are known, and which are to be fetched.

use crate::envelope::Contents;
use crate::ids::Digest32;
use crate::sorted_map::SortedMap;
use crate::time::Millis;
use crate::wire::RefusalReason;

/// Bytes of contents that are kept although nothing needs them just then.
pub(super) const KEEP_BYTES: usize = 4 * 1024 * 1024;
/// Tries to get a content.
const MAX_TRIES: u32 = 4;
/// Pause before the first repetition, doubled each time, in milliseconds.
const RETRY_MS: u64 = 500;

#[derive(Debug, Clone, Copy)]
struct Wanted {
    tries: u32,
    /// `None` while a fetch is under way.
    fetch_at: Option<Millis>,
}

#[derive(Debug, Default)]
pub(super) struct ContentCache {
    known: Contents,
    wanted: SortedMap<Digest32, Wanted>,
}

impl ContentCache {
    pub(super) const fn known(&self) -> &Contents {
        &self.known
    }

    /// Keeps what came along with an assignment.
    pub(super) fn offer(&mut self, texts: &[String]) {
        for text in texts {
            let hash = self.known.insert(text);
            self.wanted.remove(hash);
        }
    }

    pub(super) fn want(&mut self, hashes: impl Iterator<Item = Digest32>, now: Millis) {
        for hash in hashes {
            if self.known.get(hash).is_none() && !self.wanted.contains(hash) {
                let wanted = Wanted {
                    tries: 0,
                    fetch_at: Some(now),
                };
                self.wanted.insert(hash, wanted);
            }
        }
    }

    pub(super) fn due_fetches(&mut self, now: Millis, is_joined: bool) -> Vec<Digest32> {
        let due = |wanted: &Wanted| is_joined && wanted.fetch_at.is_some_and(|at| at <= now);
        let mut hashes = Vec::new();
        for (hash, wanted) in self.wanted.iter_mut().filter(|(_, wanted)| due(wanted)) {
            wanted.fetch_at = None;
            wanted.tries += 1;
            hashes.push(hash);
        }
        hashes
    }

    /// Takes a fetched text in. Returns why the content will not be had, if so.
    pub(super) fn fetched(
        &mut self,
        hash: Digest32,
        text: Option<&str>,
        now: Millis,
    ) -> Option<RefusalReason> {
        let wanted = self.wanted.get_mut(hash)?;
        match text {
            Some(text) if Digest32::of(text.as_bytes()) == hash => {
                self.known.insert(text);
                self.wanted.remove(hash);
                None
            }
            Some(_) => {
                self.wanted.remove(hash);
                Some(RefusalReason::WrongContent)
            }
            None if wanted.tries < MAX_TRIES => {
                wanted.fetch_at = Some(now.plus(RETRY_MS << (wanted.tries - 1)));
                None
            }
            None => {
                self.wanted.remove(hash);
                Some(RefusalReason::ContentUnavailable)
            }
        }
    }

    pub(super) fn next_retry(&self) -> Option<Millis> {
        self.wanted
            .values()
            .filter_map(|wanted| wanted.fetch_at)
            .min()
    }

    pub(super) fn shrink(&mut self, is_needed: impl Fn(Digest32) -> bool) {
        if self.known.bytes() > KEEP_BYTES {
            self.known.retain(&is_needed);
        }
        self.wanted.retain(|hash, _| is_needed(hash));
    }
}
