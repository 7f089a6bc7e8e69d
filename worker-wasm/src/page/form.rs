//! The form of the settings: what stands in it, as numbers and back.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use web_sys::Element;

use super::device::{member, number};
use super::dom::Dom;
use crate::settings::{COUNT, Settings};

/// The fields, in the order of the settings' numbers.
const FIELDS: [&str; COUNT] = [
    "threads",
    "duty",
    "plugged",
    "least-battery",
    "visible",
    "from",
    "to",
    "data-cap",
    "awake",
];
const THREADS: usize = 0;
const DATA_CAP: usize = 7;
/// Fields whose value is told in words, too.
const TOLD: [(&str, &str); 2] = [("threads", "threads-now"), ("duty", "duty-now")];
const VALUE: &str = "value";
const VALUE_AS_NUMBER: &str = "valueAsNumber";
const MINUTE_MS: f64 = 60_000.0;

/// Shows the settings of a device that allows at most `slots`.
pub(super) fn show(dom: &Dom, settings: &Settings, slots: u16) {
    let numbers = settings.numbers();
    for (place, (id, number)) in FIELDS.into_iter().zip(numbers).enumerate() {
        let Some(field) = dom.element(id) else {
            continue;
        };
        if place == THREADS {
            put(&field, "max", slots);
        }
        match kind(&field) {
            Kind::Check => put(&field, "checked", number > 0),
            Kind::Time => put(&field, VALUE_AS_NUMBER, f64::from(number) * MINUTE_MS),
            Kind::Number if place == DATA_CAP && number == 0 => put(&field, VALUE, ""),
            Kind::Number if place == THREADS && number == 0 => put(&field, VALUE, slots),
            Kind::Number => put(&field, VALUE, number),
        }
    }
    tell(dom);
}

/// What the form says. All threads that the device allows are as many as it allows, whatever that
/// will be.
pub(super) fn read(dom: &Dom, slots: u16) -> Settings {
    let read = |id| dom.element(id).map_or(0, |field| number_in(&field));
    let mut numbers = FIELDS.map(read);
    if numbers[THREADS] >= slots.into() {
        numbers[THREADS] = 0;
    }
    Settings::of(numbers)
}

/// Says in words what the sliders stand at.
pub(super) fn tell(dom: &Dom) {
    for (id, told) in TOLD {
        let value = dom
            .element(id)
            .and_then(|it| member(&it, VALUE)?.as_string());
        dom.set_text(told, &value.unwrap_or_default());
    }
}

enum Kind {
    Check,
    Time,
    Number,
}

fn kind(field: &Element) -> Kind {
    let kind = member(field, "type").and_then(|it| it.as_string());
    match kind.as_deref() {
        Some("checkbox") => Kind::Check,
        Some("time") => Kind::Time,
        Some(_) | None => Kind::Number,
    }
}

/// An empty field, or half a number, is 0.
fn number_in(field: &Element) -> u32 {
    let number = || number(field, VALUE_AS_NUMBER).unwrap_or(0.0);
    match kind(field) {
        Kind::Check => (member(field, "checked") == Some(JsValue::TRUE)).into(),
        Kind::Time => (number() / MINUTE_MS) as u32,
        Kind::Number => number() as u32,
    }
}

fn put(field: &Element, name: &str, value: impl Into<JsValue>) {
    // A field that takes no value stays as it is.
    let _ = Reflect::set(field, &name.into(), &value.into());
}
