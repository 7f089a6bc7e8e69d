//! When the volunteer's settings let nothing start. Pure: the situation is an argument.
//!
//! Lives here: which rule holds, and the one exception that a volunteer may make. Not here: pauses by
//! hand and what a pause does (`runtime::governor`).

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// A battery that was too low has recovered this many percent above the threshold.
const RECOVERY_PERCENT: u8 = 5;
const MEGABYTE: u64 = 1_000_000;

/// Why nothing starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PauseCause {
    /// The volunteer said so.
    Hand,
    /// On battery, and only mains is allowed.
    Unplugged,
    /// The battery is low.
    LowBattery,
    /// The page cannot be seen.
    Hidden,
    /// It is not the time of day.
    Hours,
    /// The day's data is used up.
    DataCap,
}

const RULES: [PauseCause; 5] = [
    PauseCause::Unplugged,
    PauseCause::LowBattery,
    PauseCause::Hidden,
    PauseCause::Hours,
    PauseCause::DataCap,
];

/// What the rules look at. What is not known breaks no rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Situation {
    /// On mains.
    pub(crate) is_charging: Option<bool>,
    /// Charge of the battery, 0 to 100 percent.
    pub(crate) battery: Option<u8>,
    /// The page cannot be seen.
    pub(crate) is_hidden: bool,
    /// Minute of the day, local time.
    pub(crate) minute: u16,
    /// Bytes carried since midnight.
    pub(crate) day_bytes: u64,
}

/// The rules, what they remember, and the exceptions from them.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    is_battery_low: bool,
    overridden: Vec<PauseCause>,
}

impl Rules {
    /// The first rule that holds and is not overridden.
    pub(crate) fn check(&mut self, settings: &Settings, now: &Situation) -> Option<PauseCause> {
        self.is_battery_low = self.is_battery_low_now(settings, now);
        let is_battery_low = self.is_battery_low;
        let holds = |cause: &PauseCause| match cause {
            PauseCause::Hand => false,
            PauseCause::Unplugged => settings.is_plugged_only && now.is_charging == Some(false),
            PauseCause::LowBattery => is_battery_low,
            PauseCause::Hidden => settings.is_visible_only && now.is_hidden,
            PauseCause::Hours => !is_within(settings.from, settings.to, now.minute),
            PauseCause::DataCap => {
                let cap = u64::from(settings.data_cap_mb) * MEGABYTE;
                cap > 0 && now.day_bytes >= cap
            }
        };
        self.overridden.retain(holds);
        RULES
            .into_iter()
            .find(|cause| holds(cause) && !self.overridden.contains(cause))
    }

    /// Passes over `cause` until it has ended.
    pub(crate) fn override_once(&mut self, cause: PauseCause) {
        self.overridden.push(cause);
    }

    fn is_battery_low_now(&self, settings: &Settings, now: &Situation) -> bool {
        let recovery = if self.is_battery_low {
            RECOVERY_PERCENT
        } else {
            0
        };
        let least = settings.least_battery;
        least > 0
            && now.is_charging != Some(true)
            && now.battery.is_some_and(|level| level < least + recovery)
    }
}

const fn is_within(from: u16, to: u16, minute: u16) -> bool {
    if from == to {
        true
    } else if from < to {
        from <= minute && minute < to
    } else {
        from <= minute || minute < to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl Fn(&mut Settings)) -> Settings {
        let mut settings = Settings {
            least_battery: 0,
            ..Settings::default()
        };
        change(&mut settings);
        settings
    }

    fn on_battery(battery: u8) -> Situation {
        Situation {
            is_charging: Some(false),
            battery: Some(battery),
            ..Situation::default()
        }
    }

    #[test]
    fn only_mains_means_only_mains_where_that_can_be_known() {
        let settings = settings(|it| it.is_plugged_only = true);
        let mut rules = Rules::default();
        let cause = rules.check(&settings, &on_battery(99));
        assert_eq!(cause, Some(PauseCause::Unplugged));
        assert_eq!(rules.check(&settings, &Situation::default()), None);
        let mut plugged = on_battery(5);
        plugged.is_charging = Some(true);
        assert_eq!(rules.check(&settings, &plugged), None);
    }

    #[test]
    fn a_low_battery_pauses_until_it_has_clearly_recovered() {
        let settings = settings(|it| it.least_battery = 30);
        let mut rules = Rules::default();
        let mut paused = |level| rules.check(&settings, &on_battery(level)).is_some();
        let levels = [30, 29, 30, 34, 35, 30, 29];
        let expected = [false, true, true, true, false, false, true];
        assert_eq!(levels.map(&mut paused), expected);
    }

    #[test]
    fn a_low_battery_that_is_charged_pauses_nothing() {
        let settings = settings(|it| it.least_battery = 30);
        let mut rules = Rules::default();
        assert!(rules.check(&settings, &on_battery(10)).is_some());
        let mut plugged = on_battery(10);
        plugged.is_charging = Some(true);
        assert_eq!(rules.check(&settings, &plugged), None);
    }

    #[test]
    fn a_hidden_page_pauses_where_that_is_wanted() {
        let hidden = Situation {
            is_hidden: true,
            ..Situation::default()
        };
        let mut rules = Rules::default();
        assert_eq!(rules.check(&settings(|_| {}), &hidden), None);
        let wanted = settings(|it| it.is_visible_only = true);
        assert_eq!(rules.check(&wanted, &hidden), Some(PauseCause::Hidden));
        assert_eq!(rules.check(&wanted, &Situation::default()), None);
    }

    #[test]
    fn hours_of_the_day_may_wrap_midnight() {
        for (from, to, allowed, denied) in [
            (480, 1_080, [480, 1_079], [479, 1_080]),
            (1_320, 360, [1_320, 359], [1_319, 360]),
            (0, 1, [0, 0], [1, 1_439]),
        ] {
            assert!(
                allowed.iter().all(|minute| is_within(from, to, *minute)),
                "{from}"
            );
            assert!(
                !denied.iter().any(|minute| is_within(from, to, *minute)),
                "{from}"
            );
        }
        assert!(is_within(600, 600, 3));
    }

    #[test]
    fn a_days_data_has_a_cap_where_one_is_set() {
        let used = Situation {
            day_bytes: 2 * MEGABYTE,
            ..Situation::default()
        };
        let mut rules = Rules::default();
        for (cap, cause) in [(0, None), (2, Some(PauseCause::DataCap)), (3, None)] {
            let settings = settings(|it| it.data_cap_mb = cap);
            assert_eq!(rules.check(&settings, &used), cause);
        }
    }

    #[test]
    fn an_exception_ends_with_its_cause_and_covers_no_other() {
        let settings = settings(|it| {
            it.is_plugged_only = true;
            it.is_visible_only = true;
        });
        let mut rules = Rules::default();
        rules.override_once(PauseCause::Unplugged);
        assert_eq!(rules.check(&settings, &on_battery(50)), None);
        let mut hidden = on_battery(50);
        hidden.is_hidden = true;
        assert_eq!(rules.check(&settings, &hidden), Some(PauseCause::Hidden));
        assert_eq!(rules.check(&settings, &Situation::default()), None);
        let again = rules.check(&settings, &on_battery(50));
        assert_eq!(again, Some(PauseCause::Unplugged));
    }
}
