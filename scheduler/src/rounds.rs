//! Bounded looks at a line that go round.
//!
//! A step may look at a few only of those who wait. Were that always the front of the line, whoever
//! stands behind some for whom there is nothing would never be seen.

use std::collections::BTreeSet;
use std::ops::Bound;

/// Where the last look at a line ended.
#[derive(Debug)]
pub(crate) struct Round<T> {
    last: Option<T>,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<T: Copy + Ord> Round<T> {
    /// Up to `most` of the line from behind the last look on, and from the front again where the line
    /// ends. All of a line that is not longer, in its order.
    pub(crate) fn look(&mut self, line: &BTreeSet<T>, most: usize) -> Vec<T> {
        let last = self.last.filter(|_| line.len() > most);
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = line.range((behind, Bound::Unbounded));
        let before = last.into_iter().flat_map(|last| line.range(..=last));
        self.note(rest.chain(before).take(most).copied().collect())
    }

    /// The same from the end of the line to its front.
    pub(crate) fn look_back(&mut self, line: &BTreeSet<T>, most: usize) -> Vec<T> {
        let last = self.last.filter(|_| line.len() > most);
        let before = last.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = line.range((Bound::Unbounded, before)).rev();
        let behind = last.into_iter().flat_map(|last| line.range(last..).rev());
        self.note(rest.chain(behind).take(most).copied().collect())
    }

    /// The next look begins where the line does.
    pub(crate) const fn restart(&mut self) {
        self.last = None;
    }

    fn note(&mut self, found: Vec<T>) -> Vec<T> {
        self.last = found.last().copied();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_go_round_even_where_the_last_one_seen_has_left() {
        let mut line: BTreeSet<u32> = (0..5).collect();
        let mut round = Round::default();
        assert_eq!(round.look(&line, 2), [0, 1]);
        line.remove(&1);
        assert_eq!(round.look(&line, 2), [2, 3]);
        assert_eq!(round.look(&line, 2), [4, 0]);
        round.restart();
        assert_eq!(round.look(&line, 2), [0, 2]);
    }

    #[test]
    fn looks_go_round_backwards() {
        let line: BTreeSet<u32> = (0..5).collect();
        let mut round = Round::default();
        assert_eq!(round.look_back(&line, 2), [4, 3]);
        assert_eq!(round.look_back(&line, 2), [2, 1]);
        assert_eq!(round.look_back(&line, 2), [0, 4]);
    }

    #[test]
    fn a_short_line_is_seen_whole_and_in_order() {
        let line: BTreeSet<u32> = (0..3).collect();
        let mut round = Round::default();
        for _ in 0..3 {
            assert_eq!(round.look(&line, 3), [0, 1, 2]);
            assert_eq!(round.look_back(&line, 4), [2, 1, 0]);
        }
    }
}
