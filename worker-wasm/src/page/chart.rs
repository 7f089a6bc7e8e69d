//! How many pieces were done in each of the last stretches of time, as a line and in words.

use super::texts::grouped;

/// Length of a stretch, in seconds.
const STRETCH_S: u32 = 5;
/// Stretches that are shown: five minutes.
const SHOWN: usize = 60;
/// Units of the drawing between two stretches.
const STEP: u64 = 2;
/// Units of the drawing from the line of zero to that of the largest number, and above it.
const HEIGHT: u64 = 30;
const MARGIN: u64 = 1;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Chart {
    counts: Vec<u64>,
    stretch: u32,
    done: u64,
}

impl Chart {
    /// Takes in how many pieces were done by then.
    pub(super) fn observe(&mut self, uptime_s: u32, done: u64) {
        let stretch = uptime_s / STRETCH_S;
        let passed = stretch.saturating_sub(self.stretch) as usize;
        for _ in 0..passed.min(SHOWN) {
            self.counts.push(done.saturating_sub(self.done));
            self.done = done;
        }
        self.stretch = stretch;
        let surplus = self.counts.len().saturating_sub(SHOWN);
        self.counts.drain(..surplus);
    }

    /// The corners of the line, the latest at the right.
    pub(super) fn points(&self) -> String {
        let most = self.most().max(1);
        let first = (SHOWN - self.counts.len()) as u64;
        let mut points = String::new();
        for (place, count) in (first..).zip(&self.counts) {
            let height = MARGIN + HEIGHT - count * HEIGHT / most;
            points += &(place * STEP).to_string();
            points += ",";
            points += &height.to_string();
            points += " ";
        }
        points
    }

    /// What the line shows; nothing before there is a line.
    pub(super) fn words(&self) -> String {
        let Some(last) = self.counts.last() else {
            return String::new();
        };
        let (last, most) = (grouped(*last), grouped(self.most()));
        [
            "Pieces in 5 seconds: ",
            &last,
            " now, ",
            &most,
            " at most in 5 minutes",
        ]
        .concat()
    }

    fn most(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_ends_at_the_right_and_its_peak_at_the_top() {
        let mut chart = Chart::default();
        chart.observe(4, 9);
        assert_eq!((chart.points(), chart.words()), Default::default());
        chart.observe(5, 10);
        chart.observe(10, 15);
        assert_eq!(chart.points(), "116,1 118,16 ");
        assert!(chart.words().contains(" 5 now, 10 at most"));
    }

    #[test]
    fn a_page_that_was_held_up_shows_a_gap_and_no_more_than_five_minutes() {
        let mut chart = Chart::default();
        chart.observe(16, 7);
        assert_eq!(chart.counts, [7, 0, 0]);
        chart.observe(1_000_000, 7);
        assert_eq!(chart.counts.len(), SHOWN);
    }
}
