//! What the browser tells of its device. All of it may be missing.

use js_sys::{Function, Promise, Reflect};
use shared::wire::DeviceFacts;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{EventTarget, VisibilityState, Window};

/// Members that browsers have and the bindings do not, or not in every browser.
pub(super) fn member(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_null() && !value.is_undefined()).then_some(value)
}

pub(super) fn number(object: &JsValue, name: &str) -> Option<f64> {
    member(object, name)?.as_f64().filter(|it| it.is_finite())
}

fn text(object: &JsValue, name: &str, most: usize) -> Option<String> {
    let text = member(object, name)?.as_string()?;
    Some(text.chars().take(most).collect())
}

/// The battery, once the browser has told of it.
pub(super) async fn battery(window: &Window) -> Option<JsValue> {
    let navigator = JsValue::from(window.navigator());
    let ask: Function = member(&navigator, "getBattery")?.dyn_into().ok()?;
    let promise: Promise = ask.call0(&navigator).ok()?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

/// Calls back when something changes that slots or rules depend on.
pub(super) fn watch(window: &Window, battery: Option<&JsValue>, changed: &Function) {
    let listen = |target: Option<JsValue>, event: &str| {
        if let Some(target) = target.and_then(|it| it.dyn_into::<EventTarget>().ok()) {
            // Without it the slots stay as they are.
            let _ = target.add_event_listener_with_callback(event, changed);
        }
    };
    listen(member(&window.navigator(), "connection"), "change");
    listen(battery.cloned(), "levelchange");
    listen(battery.cloned(), "chargingchange");
    listen(window.document().map(JsValue::from), "visibilitychange");
}

/// What is known at this moment.
pub(super) fn facts(window: &Window, battery: Option<&JsValue>) -> DeviceFacts {
    let navigator = JsValue::from(window.navigator());
    let connection = member(&navigator, "connection").unwrap_or_default();
    let battery = battery.cloned().unwrap_or_default();
    let visibility = window.document().map(|it| it.visibility_state());
    DeviceFacts {
        hardware_concurrency: number(&navigator, "hardwareConcurrency").map(|count| count as u32),
        device_memory_gb: number(&navigator, "deviceMemory"),
        effective_type: text(&connection, "effectiveType", 16),
        downlink_mbps: number(&connection, "downlink"),
        rtt_ms: number(&connection, "rtt"),
        save_data: member(&connection, "saveData").and_then(|it| it.as_bool()),
        platform: text(&navigator, "platform", 120),
        visibility: visibility.map(|it| {
            let is_visible = it == VisibilityState::Visible;
            if is_visible { "visible" } else { "hidden" }.into()
        }),
        battery_level: number(&battery, "level"),
        charging: member(&battery, "charging").and_then(|it| it.as_bool()),
        mobile: is_mobile(&navigator),
        secure_context: window.is_secure_context(),
    }
}

/// Tablets that call themselves computers count as such: they have the processors.
fn is_mobile(navigator: &JsValue) -> bool {
    let said = member(navigator, "userAgentData").and_then(|it| member(&it, "mobile"));
    said.and_then(|it| it.as_bool()).unwrap_or_else(|| {
        text(navigator, "userAgent", 512).is_some_and(|agent| {
            ["Mobi", "Android", "iPhone", "iPad"]
                .iter()
                .any(|mark| has(&agent, mark))
        })
    })
}

/// The library's own search is made for long texts and weighs more than this whole file.
fn has(text: &str, mark: &str) -> bool {
    let mut windows = text.as_bytes().windows(mark.len());
    windows.any(|window| window == mark.as_bytes())
}
