//! Whether the device is busy with something else, and how many slots it is spared for that. What
//! tells is how long the sandbox frame takes to answer a ping: it has nothing else to do.

/// An answer that takes this long is late, in milliseconds.
const LATE_MS: u64 = 250;
/// Answers that take longer tell of sleep, not of work, in milliseconds.
const ASLEEP_MS: u64 = 15_000;
/// Late answers in a row for one slot fewer.
const LATE_ROW: u8 = 3;
/// Answers in time, in a row, for one more.
const FINE_ROW: u8 = 6;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Strain {
    spared: u16,
    late: u8,
    fine: u8,
}

impl Strain {
    /// Takes in how long an answer took, while `allowed` slots could be used.
    pub(super) const fn observe(&mut self, took_ms: u64, allowed: u16) {
        if took_ms >= ASLEEP_MS {
            return;
        }
        if took_ms >= LATE_MS {
            self.fine = 0;
            self.late += 1;
        } else {
            self.late = 0;
            self.fine += 1;
        }
        if self.late >= LATE_ROW {
            self.late = 0;
            if self.spared + 1 < allowed {
                self.spared += 1;
            }
        } else if self.fine >= FINE_ROW {
            self.fine = 0;
            self.spared = self.spared.saturating_sub(1);
        }
    }

    /// What remains of `allowed` slots, at least one.
    pub(super) fn left_of(&self, allowed: u16) -> u16 {
        allowed.saturating_sub(self.spared).max(1)
    }

    /// Whether any are spared.
    pub(super) const fn is_felt(&self) -> bool {
        self.spared > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: &[u64]) -> Strain {
        let mut strain = Strain::default();
        for took_ms in answers {
            strain.observe(*took_ms, 3);
        }
        strain
    }

    #[test]
    fn late_answers_in_a_row_take_one_slot_after_the_other_but_never_the_last() {
        assert_eq!(after(&[300, 300]).left_of(3), 3);
        assert_eq!(after(&[300, 300, 5, 300, 300]).left_of(3), 3);
        assert_eq!(after(&[300; 3]).left_of(3), 2);
        assert_eq!(after(&[300; 6]).left_of(3), 1);
        assert_eq!(after(&[300; 60]).left_of(3), 1);
    }

    #[test]
    fn slots_come_back_one_by_one_once_answers_are_in_time() {
        let mut strain = after(&[300; 60]);
        for (left, felt) in [(2, true), (3, false), (3, false)] {
            for _ in 0..6 {
                strain.observe(5, 3);
            }
            assert_eq!((strain.left_of(3), strain.is_felt()), (left, felt));
        }
    }

    #[test]
    fn sleep_is_no_strain() {
        assert!(!after(&[3_600_000; 9]).is_felt());
    }

    #[test]
    fn fewer_slots_than_are_spared_leave_one() {
        assert_eq!(after(&[300; 6]).left_of(1), 1);
    }
}
