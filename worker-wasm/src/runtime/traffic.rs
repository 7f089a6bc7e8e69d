//! Bytes that socket and contents have carried since midnight, local time.

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// Number of the day, counted from 1970.
    pub(super) day: u32,
    pub(super) bytes: u64,
}

impl Traffic {
    /// Adds what was carried.
    pub(super) const fn carry(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// It is `day`: what was carried on another does not count.
    pub(super) const fn turn_to(&mut self, day: u32) {
        if self.day != day {
            *self = Self { day, bytes: 0 };
        }
    }

    /// What all tabs of this device have carried together; of another day it tells nothing.
    pub(super) const fn correct(&mut self, known: Self) {
        if self.day == known.day {
            self.bytes = known.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_begins_with_nothing() {
        let mut traffic = Traffic { day: 7, bytes: 0 };
        traffic.carry(5);
        traffic.turn_to(7);
        assert_eq!(traffic.bytes, 5);
        traffic.turn_to(8);
        assert_eq!(traffic, Traffic { day: 8, bytes: 0 });
    }

    #[test]
    fn what_other_tabs_carried_counts_on_the_same_day() {
        let mut traffic = Traffic { day: 7, bytes: 5 };
        traffic.correct(Traffic { day: 6, bytes: 900 });
        assert_eq!(traffic.bytes, 5);
        traffic.correct(Traffic { day: 7, bytes: 900 });
        assert_eq!(traffic.bytes, 900);
    }
}
