//! A button for what takes a moment.
//!
//! It is never `disabled`: that would take the keyboard away from who has just pressed it.

use leptos::prelude::*;

use crate::components::field::truth;

/// A button that says that it is busy. Whoever acts on it passes over presses meanwhile.
pub(crate) fn busy_button(
    id: &'static str,
    label: &'static str,
    kind: Kind,
    is_busy: RwSignal<bool>,
) -> AnyView {
    let (kind, class) = match kind {
        Kind::Submit => ("submit", "primary"),
        Kind::Plain => ("button", ""),
    };
    view! {
        <button id=id type=kind class=class aria-disabled=truth(move || is_busy.get())>
            {label}
        </button>
    }
    .into_any()
}

/// What a button is to its section.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// It sends the form that the section is for.
    Submit,
    /// One of several things to do.
    Plain,
}
