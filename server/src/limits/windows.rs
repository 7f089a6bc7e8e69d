//! Counting in fixed windows: an address's window begins with its first request.
//!
//! Memory is bounded. Addresses beyond what is kept are counted together with their neighbours:
//! somebody who has many addresses shuts out whoever is near, and hardly anybody else.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RateLimit;
use crate::address::AddressBlock;

/// Addresses that are told apart; some 4 MiB.
const MAX_BLOCKS: usize = 65_536;
/// Windows for the neighbourhoods of all others. Which of them share one is not to be foreseen.
const SHARED_WINDOWS: usize = 4_096;

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

/// One of what an address may do, until it is known whether it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reservation {
    block: AddressBlock,
    /// Of the window that it was counted in.
    began: Instant,
}

#[derive(Debug)]
struct Table {
    windows: HashMap<AddressBlock, Window>,
    /// Of addresses for which there was no room, by neighbourhood.
    shared: Box<[Option<Window>]>,
    /// Keyed by chance, once a process.
    hasher: RandomState,
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
            table: Mutex::new(Table::new()),
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

    /// Counts one that may turn out not to count.
    ///
    /// # Errors
    /// Time until an address that has none left may come again.
    pub(crate) fn reserve(
        &self,
        block: AddressBlock,
        now: Instant,
    ) -> Result<Reservation, Duration> {
        let mut table = self.lock();
        let window = table.window(block, now, self.limit.window);
        if window.count >= self.limit.max {
            return Err(self.of(*window, now).reset);
        }
        window.count += 1;
        let began = window.began;
        Ok(Reservation { block, began })
    }

    /// Takes back what was counted, unless its window is over.
    pub(crate) fn give_back(&self, reservation: Reservation) {
        self.lock().give_back(reservation);
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
    fn new() -> Self {
        Self {
            windows: HashMap::new(),
            shared: vec![None; SHARED_WINDOWS].into(),
            hasher: RandomState::new(),
            next_sweep: None,
        }
    }

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
            self.shared_window(block).get_or_insert(fresh)
        } else {
            self.windows.entry(block).or_insert(fresh)
        };
        if !window.is_live(now, length) {
            *window = fresh;
        }
        window
    }

    /// Of an address and its neighbours.
    fn shared_window(&mut self, block: AddressBlock) -> &mut Option<Window> {
        let hash = self.hasher.hash_one(block.neighbourhood());
        let index = (hash % SHARED_WINDOWS as u64) as usize;
        &mut self.shared[index]
    }

    fn give_back(&mut self, Reservation { block, began }: Reservation) {
        let window = match self.windows.get_mut(&block) {
            Some(window) => Some(window),
            None => self.shared_window(block).as_mut(),
        };
        let Some(window) = window.filter(|window| window.began == began) else {
            return;
        };
        window.count = window.count.saturating_sub(1);
        if window.count == 0 {
            self.windows.remove(&block);
        }
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
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        assert_eq!(windows.count(block(1), at(60)), (standing(1, 60), false));
    }

    #[test]
    fn what_is_reserved_is_taken_until_it_is_given_back() {
        let (windows, start) = (windows(2), Instant::now());
        let reserve = |sec| windows.reserve(block(1), start + Duration::from_secs(sec));
        let (first, second) = (reserve(0).unwrap(), reserve(1).unwrap());
        assert_eq!(reserve(20).unwrap_err(), Duration::from_secs(40));
        windows.give_back(first);
        assert!(reserve(20).is_ok());
        assert!(reserve(20).is_err(), "no more than was given back");
        let next = reserve(60).unwrap();
        windows.give_back(second);
        assert!(reserve(60).is_ok());
        assert!(reserve(60).is_err(), "of a window that is over");
        windows.give_back(next);
        assert!(reserve(60).is_ok());
    }

    #[test]
    fn nothing_is_remembered_of_who_gave_all_back() {
        let (windows, now) = (windows(1), Instant::now());
        windows.give_back(windows.reserve(block(1), now).unwrap());
        assert!(windows.lock().windows.is_empty());
    }

    /// Network `number`, of 64 bits, of one of 48 bits.
    fn of_one_site(number: usize) -> AddressBlock {
        let site: u128 = 0x2001_0db8_0001 << 80;
        AddressBlock::of(Ipv6Addr::from_bits(site | (number as u128) << 64).into())
    }

    /// Windows whose table one network of 48 bits has filled, and beyond.
    fn filled(max: u64, now: Instant) -> FixedWindows {
        let windows = windows(max);
        windows.count(block(1), now);
        for number in 0..MAX_BLOCKS {
            windows.count(of_one_site(number), now);
        }
        windows
    }

    #[test]
    fn who_fills_the_table_uses_up_what_its_own_neighbours_may_do() {
        let now = Instant::now();
        let windows = filled(2, now);
        let last = of_one_site(MAX_BLOCKS - 1);
        assert!(!windows.count(last, now).1);
        assert!(windows.count(last, now).1);
        assert_eq!(windows.lock().windows.len(), MAX_BLOCKS);
        assert!(!windows.count(block(1), now).1, "known ones keep theirs");

        let later = now + WINDOW;
        assert!(!windows.count(last, later).1);
        assert_eq!(windows.lock().windows.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn a_stranger_to_a_full_table_is_untouched_by_who_filled_it() {
        let now = Instant::now();
        let windows = filled(2, now);
        let last = of_one_site(MAX_BLOCKS - 1);
        while !windows.count(last, now).1 {}
        // A few meet by chance in the window of who filled it: one of 4,096.
        let strangers = (0..64).map(|number| block(0xc000_0000 + (number << 8)));
        let refused = strangers.filter(|stranger| windows.count(*stranger, now).1);
        assert!(refused.count() <= 4);
    }

    #[test]
    fn what_is_reserved_of_a_shared_window_is_given_back_to_it() {
        let now = Instant::now();
        let windows = filled(2, now);
        let last = of_one_site(MAX_BLOCKS - 1);
        let reserved = windows.reserve(last, now).unwrap();
        assert!(windows.reserve(last, now).is_err());
        windows.give_back(reserved);
        assert!(windows.reserve(last, now).is_ok());
    }
}
