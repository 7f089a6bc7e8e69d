//! What the volunteer allows, as it is kept and as it crosses from the page to the runtime: a line
//! of numbers. Not here: what follows from it (`rules`, `runtime::pool`).

/// Numbers in the line.
pub(crate) const COUNT: usize = 9;

const LAST_MINUTE: u32 = 24 * 60 - 1;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Shards at the same time; 0 for as many as the device allows.
    pub(crate) threads: u16,
    /// Share of its time that a slot may work, 10 to 100 percent.
    pub(crate) duty: u8,
    /// Work on mains alone.
    pub(crate) is_plugged_only: bool,
    /// Below this charge a battery is left alone, 0 to 95 percent.
    pub(crate) least_battery: u8,
    /// Work only while the page can be seen.
    pub(crate) is_visible_only: bool,
    /// From this minute of the day, local time.
    pub(crate) from: u16,
    /// Until this minute. Before `from` it is meant of the next day; the same means all day.
    pub(crate) to: u16,
    /// Bytes that a day may carry, in MB of a million; 0 for any.
    pub(crate) data_cap_mb: u32,
    /// Keep the screen on while the page is visible.
    pub(crate) is_kept_awake: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self::of([0, 100, 0, 20, 0, 0, 0, 0, 0])
    }
}

impl Settings {
    /// From numbers in the order of the fields, each brought into its range.
    pub(crate) fn of(numbers: [u32; COUNT]) -> Self {
        let [
            threads,
            duty,
            plugged,
            battery,
            visible,
            from,
            to,
            cap,
            awake,
        ] = numbers;
        let narrow = |number: u32, most: u32| number.min(most) as u16;
        Self {
            threads: narrow(threads, u32::from(shared::limits::MAX_SLOTS)),
            duty: narrow(duty.max(10), 100) as u8,
            is_plugged_only: plugged > 0,
            least_battery: narrow(battery, 95) as u8,
            is_visible_only: visible > 0,
            from: narrow(from, LAST_MINUTE),
            to: narrow(to, LAST_MINUTE),
            data_cap_mb: cap,
            is_kept_awake: awake > 0,
        }
    }

    /// As [`Settings::of`] takes them.
    pub(crate) fn numbers(&self) -> [u32; COUNT] {
        [
            self.threads.into(),
            self.duty.into(),
            self.is_plugged_only.into(),
            self.least_battery.into(),
            self.is_visible_only.into(),
            self.from.into(),
            self.to.into(),
            self.data_cap_mb,
            self.is_kept_awake.into(),
        ]
    }

    /// Reads a line; what is missing or no number stays as it is by default.
    pub(crate) fn parse(line: &str) -> Self {
        let mut numbers = Self::default().numbers();
        for (number, word) in numbers.iter_mut().zip(line.split(' ')) {
            if let Ok(read) = word.parse() {
                *number = read;
            }
        }
        Self::of(numbers)
    }

    /// The line.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for number in self.numbers() {
            line += &number.to_string();
            line.push(' ');
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_every_setting() {
        let settings = Settings::of([3, 50, 1, 30, 1, 1_320, 360, 250, 1]);
        assert_eq!(Settings::parse(&settings.line()), settings);
    }

    #[test]
    fn what_cannot_be_read_is_as_by_default() {
        assert_eq!(Settings::parse(""), Settings::default());
        let settings = Settings::parse("2 x");
        assert_eq!((settings.threads, settings.duty), (2, 100));
    }

    #[test]
    fn numbers_are_brought_into_their_range() {
        let settings = Settings::of([70_000, 0, 9, 400, 0, 9_999, 9_999, 1, 0]);
        assert_eq!(settings.threads, shared::limits::MAX_SLOTS);
        assert_eq!((settings.duty, settings.least_battery), (10, 95));
        assert_eq!(settings.from, 1_439);
        assert_eq!(Settings::of([0, 101, 0, 0, 0, 0, 0, 0, 0]).duty, 100);
    }
}
