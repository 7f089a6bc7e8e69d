//! Signing in with the client key or its words.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::app::Store;

/// Asks for the key.
#[component]
pub(crate) fn SignIn() -> impl IntoView {
    let store = expect_context::<Store>();
    let key = RwSignal::new(String::new());
    let is_busy = RwSignal::new(false);
    let error = store.select(|state| state.sign_in_error.clone());
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let typed = key.get_untracked().trim().to_owned();
        if typed.is_empty() {
            return;
        }
        is_busy.set(true);
        spawn_local(async move {
            store.sign_in(typed).await;
            is_busy.try_set(false);
        });
    };
    view! {
        <main>
            <section class="narrow">
                <h2>"Sign in"</h2>
                <p class="hint">
                    "With the client key of this server, or the words that stand for it. \
                     The server showed both when it was set up."
                </p>
                <form on:submit=submit>
                    <label for="key">"Client key or words"</label>
                    <input
                        id="key"
                        type="password"
                        autocomplete="current-password"
                        required
                        aria-describedby="key-error"
                        bind:value=key
                    />
                    <p class="error" id="key-error" role="alert">{error}</p>
                    <div class="actions">
                        <button class="primary" id="sign-in" disabled=is_busy>"Sign in"</button>
                    </div>
                </form>
            </section>
        </main>
    }
}
