//! Times as clients read them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;

const DAY_MS: u64 = 86_400_000;

/// A time whose text is ISO 8601 in UTC with milliseconds: `2026-01-01T00:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct IsoTime(pub UnixMillis);

/// The text is no time of this form between the years 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2026-01-01T00:00:00.000Z")]
pub struct NotIsoTime;

impl fmt::Display for IsoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.0 / DAY_MS);
        let ms = self.0.0 % DAY_MS;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let milli = ms % 1000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

impl FromStr for IsoTime {
    type Err = NotIsoTime;

    fn from_str(text: &str) -> Result<Self, NotIsoTime> {
        let number = |at: std::ops::Range<usize>| {
            let digits = text.get(at).ok_or(NotIsoTime)?;
            digits.parse::<u64>().map_err(|_| NotIsoTime)
        };
        let days = days_from_civil(number(0..4)?, number(5..7)?, number(8..10)?);
        let seconds = (number(11..13)? * 60 + number(14..16)?) * 60 + number(17..19)?;
        let ms = days.ok_or(NotIsoTime)? * DAY_MS + seconds * 1000 + number(20..23)?;
        let time = Self(UnixMillis(ms));
        // Whatever was misread above is printed otherwise.
        (time.to_string() == text).then_some(time).ok_or(NotIsoTime)
    }
}

impl From<IsoTime> for String {
    fn from(time: IsoTime) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for IsoTime {
    type Error = NotIsoTime;

    fn try_from(text: String) -> Result<Self, NotIsoTime> {
        text.parse()
    }
}

/// Year, month and day of a day counted from 1970-01-01 (H. Hinnant, "chrono-compatible low-level
/// date algorithms", `civil_from_days`).
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The inverse (`days_from_civil`); `None` before 1970.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let (era, year_of_era) = (year / 400, year % 400);
    let month = (month + 9) % 12;
    let day_of_year = ((153 * month + 2) / 5 + day).checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_have_their_text() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(IsoTime(UnixMillis(ms)).to_string(), text);
            assert_eq!(text.parse(), Ok(IsoTime(UnixMillis(ms))));
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-01-01",
            "2026-02-30T00:00:00.000Z",
            "2026-00-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "1969-12-31T00:00:00.000Z",
            "0000-01-01T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:00:00.000+00:00",
            "2026-01-01T00:00:00.0000Z",
            "+026-01-01T00:00:00.000Z",
            "2026-01-01é00:00:00.000Z",
        ] {
            assert_eq!(text.parse::<IsoTime>(), Err(NotIsoTime), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn times_round_trip(ms in 0_u64..253_402_300_800_000) {
            let time = IsoTime(UnixMillis(ms));
            proptest::prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn any_time_has_a_text(ms in proptest::prelude::any::<u64>()) {
            proptest::prop_assert!(IsoTime(UnixMillis(ms)).to_string().ends_with('Z'));
        }
    }
}
