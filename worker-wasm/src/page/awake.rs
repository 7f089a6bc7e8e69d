//! Keeping the screen on, where the browser can. It lets go by itself when the page is hidden.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{VisibilityState, Window};

use super::device::member;

/// The lock, if it is held.
#[derive(Default)]
pub(super) struct Awake {
    lock: Rc<RefCell<Option<JsValue>>>,
}

/// Whether this browser can keep the screen on.
pub(super) fn is_possible(window: &Window) -> bool {
    member(&window.navigator(), "wakeLock").is_some()
}

impl Awake {
    /// Keeps the screen on if `is_wanted` and the page is visible, else lets it go dark.
    pub(super) fn keep(&self, window: &Window, is_wanted: bool) {
        let is_visible = window
            .document()
            .is_some_and(|it| it.visibility_state() == VisibilityState::Visible);
        let lock = self.lock.take();
        let released = lock.as_ref().and_then(|lock| member(lock, "released"));
        let is_held = released.and_then(|it| it.as_bool()) == Some(false);
        match lock.filter(|_| is_held) {
            Some(lock) if is_wanted => *self.lock.borrow_mut() = Some(lock),
            Some(lock) => drop(call(&lock, "release", &JsValue::UNDEFINED)),
            None if is_wanted && is_visible => self.take(window),
            None => {}
        }
    }

    fn take(&self, window: &Window) {
        let lock = Rc::clone(&self.lock);
        let promise = member(&window.navigator(), "wakeLock")
            .and_then(|api| call(&api, "request", &"screen".into()));
        spawn_local(async move {
            if let Some(promise) = promise {
                // Without it the screen goes dark when the system wants it to.
                *lock.borrow_mut() = JsFuture::from(promise).await.ok();
            }
        });
    }
}

fn call(object: &JsValue, name: &str, argument: &JsValue) -> Option<Promise> {
    let function: Function = member(object, name)?.dyn_into().ok()?;
    function.call1(object, argument).ok()?.dyn_into().ok()
}
