//! A text to be taken elsewhere.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser;

const COPY: &str = "Copy";
const COPIED: &str = "Copied";
const BY_HAND: &str = "Press Ctrl+C";

/// A text that is read only, with a button that copies it.
pub(crate) fn copy_field(id: &'static str, label: &'static str, text: String) -> AnyView {
    let answer = RwSignal::new(COPY.to_owned());
    let button = format!("copy-{id}");
    let (copied_text, to) = (text.clone(), button.clone());
    let copy = move |_| {
        let Some(clipboard) = browser::clipboard() else {
            return answer.set(copy_selected(id, &to).to_owned());
        };
        let (text, to) = (copied_text.clone(), to.clone());
        spawn_local(async move {
            let told = if browser::write(clipboard, &text).await {
                COPIED
            } else {
                copy_selected(id, &to)
            };
            answer.try_set(told.to_owned());
        });
    };
    view! {
        <div>
            <label for=id>{label}</label>
            <div class="copy">
                <textarea id=id readonly rows="1" spellcheck="false" on:focus=move |_| browser::select(id)>
                    {text}
                </textarea>
                <button type="button" id=button on:click=copy on:blur=move |_| answer.set(COPY.to_owned())>
                    <span aria-live="polite">{answer}</span>
                    <span class="visually-hidden">{label}</span>
                </button>
            </div>
        </div>
    }
    .into_any()
}

/// Where there is no clipboard: what to tell. Who has to press keys stays in the field.
fn copy_selected(id: &str, button: &str) -> &'static str {
    if browser::select_and_copy(id) {
        browser::focus(button);
        COPIED
    } else {
        BY_HAND
    }
}
