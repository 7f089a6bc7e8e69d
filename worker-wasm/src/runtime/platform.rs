//! Clocks, random bytes and the one timer of the runtime's worker.

use js_sys::Date;
use shared::time::{Millis, Reading, UnixMillis};
use wasm_bindgen::prelude::*;
use web_sys::{Crypto, DedicatedWorkerGlobalScope, Performance};

/// The longest time that a browser's timer counts correctly, in milliseconds.
const MAX_TIMER_MS: u64 = i32::MAX as u64;

/// The worker's global scope and what is used of it all the time.
#[derive(Debug)]
pub(super) struct Platform {
    scope: DedicatedWorkerGlobalScope,
    performance: Performance,
    crypto: Crypto,
}

impl Platform {
    /// Of the worker that this runs in.
    pub(super) fn new() -> Self {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        Self {
            performance: scope.performance().expect_throw("workers have a clock"),
            crypto: scope.crypto().expect_throw("workers have random numbers"),
            scope,
        }
    }

    pub(super) const fn scope(&self) -> &DedicatedWorkerGlobalScope {
        &self.scope
    }

    /// Both clocks.
    pub(super) fn now(&self) -> Reading {
        Reading {
            wall: UnixMillis(Date::now().max(0.0) as u64),
            mono: Millis(self.performance.now() as u64),
        }
    }

    /// Minutes since 1970-01-01 in local time.
    pub(super) fn local_minutes(&self) -> u32 {
        let offset = Date::new_0().get_timezone_offset();
        (Date::now() / 60_000.0 - offset) as u32
    }

    /// Sixteen unpredictable bytes.
    pub(super) fn random16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.crypto
            .get_random_values_with_u8_array(&mut bytes)
            .expect_throw("sixteen bytes are within the browser's limit");
        bytes
    }
}

/// One timer: setting it anew forgets the old time.
#[derive(Debug)]
pub(super) struct Timer {
    scope: DedicatedWorkerGlobalScope,
    callback: Closure<dyn FnMut()>,
    pending: Option<(i32, Millis)>,
}

impl Timer {
    pub(super) fn new(platform: &Platform, callback: impl FnMut() + 'static) -> Self {
        Self {
            scope: platform.scope.clone(),
            callback: Closure::new(callback),
            pending: None,
        }
    }

    /// It has fired.
    pub(super) const fn fired(&mut self) {
        self.pending = None;
    }

    /// Fires at `at`, or not at all. Does nothing where it is set to that time.
    pub(super) fn set(&mut self, now: Millis, at: Option<Millis>) {
        if self.pending.map(|(_, pending)| pending) == at {
            return;
        }
        if let Some((handle, _)) = self.pending.take() {
            self.scope.clear_timeout_with_handle(handle);
        }
        let Some(at) = at else {
            return;
        };
        let delay = at.since(now).min(MAX_TIMER_MS);
        let callback = self.callback.as_ref().unchecked_ref();
        let handle = self
            .scope
            .set_timeout_with_callback_and_timeout_and_arguments_0(callback, delay as i32)
            .expect_throw("functions can be timed");
        self.pending = Some((handle, at));
    }
}
