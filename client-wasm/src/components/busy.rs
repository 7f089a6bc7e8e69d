//! The button that sends a form, which takes a moment.
//!
//! It is never `disabled`: that would take the keyboard away from who has just pressed it.

use leptos::prelude::*;

use crate::components::field::truth;

/// A button that says that it is busy. Whoever acts on it passes over presses meanwhile.
pub(crate) fn busy_button(
    id: &'static str,
    label: &'static str,
    is_busy: RwSignal<bool>,
) -> AnyView {
    view! {
        <button id=id type="submit" class="primary" aria-disabled=truth(move || is_busy.get())>
            {label}
        </button>
    }
    .into_any()
}
