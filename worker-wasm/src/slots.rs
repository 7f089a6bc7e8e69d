//! How many shards a device runs at the same time.
//!
//! Lives here: the rule. Not here: finding out about the device (`page::device`), the server's cap
//! on what a worker may offer (applied by whoever calls).

use shared::limits::MAX_SLOTS;
use shared::wire::DeviceFacts;

/// Slots by GiB of memory: below the first number, at most the second.
const MEMORY_CAPS: [(f64, u16); 5] = [(2.0, 2), (4.0, 4), (8.0, 8), (16.0, 16), (32.0, 32)];
/// A battery that is not charging allows two slots below the first level and one below the second.
const LOW_BATTERY: (f64, f64) = (0.3, 0.15);

/// Slots of a device, 1 to [`MAX_SLOTS`]: its processors, one fewer on a phone, capped by memory,
/// network, a wish to save data, and a battery that runs low. 1 where nothing is known.
pub(crate) fn slots_of(device: &DeviceFacts) -> u16 {
    let processors = device.hardware_concurrency.map_or(1, |count| {
        let usable = count.saturating_sub(u32::from(device.mobile));
        u16::try_from(usable).unwrap_or(MAX_SLOTS)
    });
    [by_memory(device), by_network(device), by_battery(device)]
        .into_iter()
        .flatten()
        .fold(processors, u16::min)
        .clamp(1, MAX_SLOTS)
}

fn by_memory(device: &DeviceFacts) -> Option<u16> {
    let memory = device.device_memory_gb?;
    MEMORY_CAPS
        .iter()
        .find(|(below, _)| memory < *below)
        .map(|(_, slots)| *slots)
}

fn by_network(device: &DeviceFacts) -> Option<u16> {
    let by_type = match device.effective_type.as_deref() {
        Some("slow-2g" | "2g") => Some(1),
        Some("3g") => Some(2),
        _ => None,
    };
    let by_wish = device.save_data.filter(|wish| *wish).map(|_| 2);
    [by_type, by_wish].into_iter().flatten().min()
}

fn by_battery(device: &DeviceFacts) -> Option<u16> {
    let level = device.battery_level?;
    let (two_below, one_below) = LOW_BATTERY;
    match device.charging {
        Some(true) => None,
        Some(false) | None if level < one_below => Some(1),
        Some(false) | None if level < two_below => Some(2),
        Some(false) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desktop() -> DeviceFacts {
        DeviceFacts {
            hardware_concurrency: Some(12),
            ..DeviceFacts::default()
        }
    }

    #[test]
    fn an_unknown_device_gets_one_slot() {
        assert_eq!(slots_of(&DeviceFacts::default()), 1);
    }

    #[test]
    fn a_phone_keeps_one_processor_for_itself() {
        let mut device = desktop();
        device.mobile = true;
        assert_eq!(slots_of(&device), 11);
        device.hardware_concurrency = Some(1);
        assert_eq!(slots_of(&device), 1);
    }

    #[test]
    fn memory_caps_slots() {
        for (memory, slots) in [
            (1.0, 2),
            (2.0, 4),
            (4.0, 8),
            (8.0, 12),
            (16.0, 12),
            (64.0, 12),
        ] {
            let device = DeviceFacts {
                device_memory_gb: Some(memory),
                ..desktop()
            };
            assert_eq!(slots_of(&device), slots, "{memory} GiB");
        }
    }

    #[test]
    fn a_slow_network_or_a_wish_to_save_data_caps_slots() {
        let on = |effective_type: &str| DeviceFacts {
            effective_type: Some(effective_type.to_owned()),
            ..desktop()
        };
        assert_eq!(slots_of(&on("2g")), 1);
        assert_eq!(slots_of(&on("3g")), 2);
        assert_eq!(slots_of(&on("4g")), 12);
        let saving = DeviceFacts {
            save_data: Some(true),
            ..on("4g")
        };
        assert_eq!(slots_of(&saving), 2);
    }

    #[test]
    fn only_a_battery_that_is_not_charging_caps_slots() {
        let at = |level, charging| {
            slots_of(&DeviceFacts {
                battery_level: Some(level),
                charging,
                ..desktop()
            })
        };
        assert_eq!(at(0.1, Some(false)), 1);
        assert_eq!(at(0.2, None), 2);
        assert_eq!(at(0.5, Some(false)), 12);
        assert_eq!(at(0.1, Some(true)), 12);
    }

    #[test]
    fn no_device_gets_more_slots_than_the_protocol_knows() {
        let device = DeviceFacts {
            hardware_concurrency: Some(100_000),
            ..DeviceFacts::default()
        };
        assert_eq!(slots_of(&device), MAX_SLOTS);
    }
}
