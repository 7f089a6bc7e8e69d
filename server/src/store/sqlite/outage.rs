//! What the log says of a store that cannot be written: once that it is so and why, once that it is
//! over. Every failed attempt between the two is on the level debug.

use std::fmt::Display;
use std::time::Instant;

use crate::store::StoreError;

/// A store that cannot be written, since when and why; or nothing of the kind.
#[derive(Debug, Default)]
pub(super) struct Outage {
    now: Option<Ongoing>,
}

#[derive(Debug)]
struct Ongoing {
    since: Instant,
    why: StoreError,
    attempts: u64,
}

impl Outage {
    /// A transaction failed, or could not be begun. Whether that is the first for this reason.
    pub(super) fn failed(&mut self, why: &StoreError, cause: &dyn Display) -> bool {
        match &mut self.now {
            Some(ongoing) if ongoing.why == *why => {
                ongoing.attempts += 1;
                tracing::debug!(error = %cause, "a transaction failed: {why}");
                false
            }
            Some(Ongoing { .. }) | None => {
                tracing::error!(
                    error = %cause,
                    "the store cannot be written: {why}; jobs are refused and results wait at the \
                     workers until it can{}",
                    remedy(why)
                );
                let before = self.now.take();
                self.now = Some(Ongoing {
                    since: before.as_ref().map_or_else(Instant::now, |it| it.since),
                    why: why.clone(),
                    attempts: before.map_or(0, |it| it.attempts) + 1,
                });
                true
            }
        }
    }

    /// A transaction is stored.
    pub(super) fn over(&mut self) {
        if let Some(Ongoing {
            since,
            why,
            attempts,
        }) = self.now.take()
        {
            let seconds = since.elapsed().as_secs();
            tracing::warn!(
                seconds,
                attempts,
                "the store can be written again, nothing was lost; it could not because {why}"
            );
        }
    }
}

/// What to do where it does not end by itself.
const fn remedy(why: &StoreError) -> &'static str {
    match why {
        StoreError::Damaged => {
            "; save what can still be read, stop the server and put a backup in the place of the \
             database (`cluster-server restore FILE`)"
        }
        StoreError::Moved => {
            "; bring back the very same file, or, if cluster.db is in its place, start the server \
             again, or else put a backup there (`cluster-server restore FILE`)"
        }
        StoreError::Full
        | StoreError::Locked
        | StoreError::Disk
        | StoreError::Busy
        | StoreError::Slow
        | StoreError::Gap { .. }
        | StoreError::JobNotOpen
        | StoreError::UnknownJob
        | StoreError::Closed
        | StoreError::Failed => "",
    }
}
