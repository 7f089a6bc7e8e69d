//! A text to be taken elsewhere.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser;

const COPY: &str = "Copy";

/// A text that is read only, with a button that copies it.
pub(crate) fn copy_field(id: &'static str, label: &'static str, text: String) -> AnyView {
    let answer = RwSignal::new(COPY.to_owned());
    let copied_text = text.clone();
    let copy = move |_| {
        let text = copied_text.clone();
        spawn_local(async move {
            let told = if browser::copy(&text).await {
                "Copied"
            } else {
                browser::select(id);
                "Selected"
            };
            answer.try_set(told.to_owned());
        });
    };
    view! {
        <div>
            <label for=id>{label}</label>
            <div class="copy">
                <input id=id class="mono" readonly value=text on:focus=move |_| browser::select(id)/>
                <button type="button" on:click=copy on:blur=move |_| answer.set(COPY.to_owned())>
                    <span aria-live="polite">{answer}</span>
                    <span class="visually-hidden">{label}</span>
                </button>
            </div>
        </div>
    }
    .into_any()
}
