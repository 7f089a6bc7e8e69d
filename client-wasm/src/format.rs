//! Figures as people read them.

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Groups digits by thousands: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 device`, `2 devices`.
pub fn counted(number: u64, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", grouped(number))
}

/// How long something took: `850 ms`, `12.3 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
        MINUTE..HOUR => format!("{} min {} s", ms / MINUTE, ms % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {} min", ms / HOUR, ms % HOUR / MINUTE),
        DAY.. => format!("{} d {} h", grouped(ms / DAY), ms % DAY / HOUR),
    }
}

/// How long something may take, no more exactly than anyone can know: `about 2 min`.
pub fn about(ms: u64) -> String {
    const SOON: u64 = 5 * SECOND;
    const SHORT: u64 = 55 * SECOND;
    const LONG: u64 = 90 * MINUTE;
    const DAYS: u64 = 36 * HOUR;
    const YEAR: u64 = 365 * DAY;
    let rounded = |unit: u64| (ms + unit / 2) / unit;
    match ms {
        0..SOON => "a few seconds".to_owned(),
        SOON..SHORT => format!("about {} s", rounded(5 * SECOND) * 5),
        SHORT..LONG => format!("about {} min", rounded(MINUTE).max(1)),
        LONG..DAYS => format!("about {} h", rounded(HOUR)),
        DAYS..YEAR => format!("about {} days", rounded(DAY)),
        YEAR.. => "more than a year".to_owned(),
    }
}

/// How long ago something was: `just now`, `5 min ago`, `3 h ago`, `2 d ago`.
pub fn ago(ms: u64) -> String {
    match ms {
        0..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => format!("{} min ago", ms / MINUTE),
        HOUR..DAY => format!("{} h ago", ms / HOUR),
        DAY.. => format!("{} d ago", grouped(ms / DAY)),
    }
}

/// A time that runs down: `0:07`, `59:32`, `1:02:03`. The second that has begun counts.
pub fn clock(ms: u64) -> String {
    let seconds = ms.div_ceil(SECOND);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// Shards in a second, a minute or an hour, whichever gives a number from 1 on.
pub fn rate(per_second: f64) -> String {
    let (number, unit) = [(1.0, "s"), (60.0, "min"), (3_600.0, "h")]
        .map(|(seconds, unit)| (per_second * seconds, unit))
        .into_iter()
        .find(|&(number, _)| number >= 1.0)
        .unwrap_or((per_second * 3_600.0, "h"));
    if number < 100.0 {
        format!("{}/{unit}", tenths((number * 10.0).round() as u64))
    } else {
        format!("{}/{unit}", grouped(number.round() as u64))
    }
}

/// `812 bytes`, `1.2 kB`, `34.0 MB`.
pub fn bytes(number: u64) -> String {
    match number {
        0..1_000 => counted(number, "byte"),
        1_000..1_000_000 => format!("{} kB", tenths(number / 100)),
        1_000_000.. => format!("{} MB", tenths(number / 100_000)),
    }
}

/// A number of tenths as a decimal number.
fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "slot"), "1 slot");
        assert_eq!(counted(1_000, "slot"), "1,000 slots");
    }

    #[test]
    fn durations_have_two_parts_at_most() {
        for (ms, text) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (12_345, "12.3 s"),
            (59_999, "59.9 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn estimates_are_no_more_exact_than_they_can_be() {
        for (ms, text) in [
            (0, "a few seconds"),
            (4_999, "a few seconds"),
            (5_000, "about 5 s"),
            (38_000, "about 40 s"),
            (54_999, "about 55 s"),
            (55_000, "about 1 min"),
            (130_000, "about 2 min"),
            (5_399_000, "about 90 min"),
            (5_400_000, "about 2 h"),
            (172_800_000, "about 2 days"),
            (u64::MAX / 2, "more than a year"),
        ] {
            assert_eq!(about(ms), text);
        }
    }

    #[test]
    fn the_past_is_told_in_one_unit() {
        for (ms, text) in [
            (59_999, "just now"),
            (60_000, "1 min ago"),
            (3_600_000, "1 h ago"),
            (200_000_000, "2 d ago"),
        ] {
            assert_eq!(ago(ms), text);
        }
    }

    #[test]
    fn clocks_run_down_to_zero() {
        for (ms, text) in [
            (0, "0:00"),
            (1, "0:01"),
            (7_000, "0:07"),
            (3_572_000, "59:32"),
            (3_723_000, "1:02:03"),
        ] {
            assert_eq!(clock(ms), text);
        }
    }

    #[test]
    fn rates_have_a_unit_that_fits() {
        for (per_second, text) in [
            (1_234.4, "1,234/s"),
            (12.34, "12.3/s"),
            (0.5, "30.0/min"),
            (0.001, "3.6/h"),
            (0.000_1, "0.4/h"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn sizes_are_decimal() {
        for (number, text) in [
            (1, "1 byte"),
            (812, "812 bytes"),
            (1_234, "1.2 kB"),
            (34_000_000, "34.0 MB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
