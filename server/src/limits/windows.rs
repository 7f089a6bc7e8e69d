//! Counting in fixed windows: an address's window begins with its first request.
//!
//! Memory is bounded: addresses beyond what is kept share one window.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RateLimit;
use crate::address::AddressBlock;

/// Addresses that are told apart; some 4 MiB.
const MAX_BLOCKS: usize = 65_536;

/// How an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What it may do until the window ends.
    pub remaining: u64,
    /// Time until then.
    pub reset: Duration,
}

/// One limit, for every address.
#[derive(Debug)]
pub(crate) struct FixedWindows {
    limit: RateLimit,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    windows: HashMap<AddressBlock, Window>,
    /// Of all addresses for which there was no room.
    others: Option<Window>,
    /// When it is worth to look for windows that are over.
    next_sweep: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    count: u64,
}

impl FixedWindows {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            table: Mutex::default(),
        }
    }

    /// What is held to.
    pub(crate) const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// How somebody stands who has done nothing yet.
    pub(crate) const fn fresh(&self) -> Standing {
        Standing {
            remaining: self.limit.max,
            reset: self.limit.window,
        }
    }

    /// Counts one; how the address stands after it, and whether it was one too many.
    pub(crate) fn count(&self, block: AddressBlock, now: Instant) -> (Standing, bool) {
        let mut table = self.lock();
        let window = table.window(block, now, self.limit.window);
        window.count = window.count.saturating_add(1);
        (self.of(*window, now), window.count > self.limit.max)
    }

    /// How an address stands.
    pub(crate) fn standing(&self, block: AddressBlock, now: Instant) -> Standing {
        let table = self.lock();
        let window = table.windows.get(&block).or(if table.is_full() {
            table.others.as_ref()
        } else {
            None
        });
        let live = window.filter(|window| window.is_live(now, self.limit.window));
        live.map_or_else(|| self.fresh(), |window| self.of(*window, now))
    }

    fn of(&self, window: Window, now: Instant) -> Standing {
        let elapsed = now.saturating_duration_since(window.began);
        Standing {
            remaining: self.limit.max.saturating_sub(window.count),
            reset: self.limit.window.saturating_sub(elapsed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn is_live(&self, now: Instant, length: Duration) -> bool {
        now.saturating_duration_since(self.began) < length
    }
}

impl Table {
    fn is_full(&self) -> bool {
        self.windows.len() >= MAX_BLOCKS
    }

    /// The live window of an address.
    fn window(&mut self, block: AddressBlock, now: Instant, length: Duration) -> &mut Window {
        let fresh = Window {
            began: now,
            count: 0,
        };
        if self.is_full() && !self.windows.contains_key(&block) {
            self.sweep(now, length);
        }
        let window = if self.is_full() && !self.windows.contains_key(&block) {
            self.others.get_or_insert(fresh)
        } else {
            self.windows.entry(block).or_insert(fresh)
        };
        if !window.is_live(now, length) {
            *window = fresh;
        }
        window
    }

    /// Forgets windows that are over; a table full of live ones is not looked through for each
    /// newcomer.
    fn sweep(&mut self, now: Instant, length: Duration) {
        if self.next_sweep.is_none_or(|due| now >= due) {
            self.windows.retain(|_, window| window.is_live(now, length));
            self.next_sweep = Some(now + length / 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn windows(max: u64) -> FixedWindows {
        FixedWindows::new(RateLimit {
            max,
            window: WINDOW,
        })
    }

    fn block(number: u32) -> AddressBlock {
        AddressBlock::of(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn an_address_may_do_so_much_and_no_more_until_its_window_ends() {
        let (windows, start) = (windows(2), Instant::now());
        let at = |sec| start + Duration::from_secs(sec);
        let standing = |remaining, sec| Standing {
            remaining,
            reset: Duration::from_secs(sec),
        };
        assert_eq!(windows.count(block(1), at(0)), (standing(1, 60), false));
        assert_eq!(windows.count(block(1), at(10)), (standing(0, 50), false));
        assert_eq!(windows.count(block(1), at(59)), (standing(0, 1), true));
        assert_eq!(windows.count(block(2), at(59)), (standing(1, 60), false));
        assert_eq!(windows.standing(block(1), at(59)), standing(0, 1));
        assert_eq!(windows.standing(block(1), at(60)), windows.fresh());
        assert_eq!(windows.count(block(1), at(60)), (standing(1, 60), false));
    }

    #[test]
    fn looking_counts_nothing() {
        let (windows, now) = (windows(1), Instant::now());
        assert_eq!(windows.standing(block(1), now), windows.fresh());
        assert!(!windows.count(block(1), now).1);
        assert!(windows.count(block(1), now).1);
    }

    #[test]
    fn memory_is_bounded_and_newcomers_to_a_full_table_share_a_window() {
        let (windows, start) = (windows(2), Instant::now());
        let most = MAX_BLOCKS as u32;
        for number in 0..most + 1000 {
            windows.count(block(number), start);
        }
        assert_eq!(windows.lock().windows.len(), MAX_BLOCKS);
        assert!(!windows.count(block(5), start).1, "known ones keep theirs");
        assert!(windows.count(block(most + 5000), start).1);
        assert_eq!(windows.standing(block(most + 6000), start).remaining, 0);

        let later = start + WINDOW;
        assert!(!windows.count(block(most + 5000), later).1);
        assert_eq!(windows.lock().windows.len(), 1, "what is over is forgotten");
    }
}
