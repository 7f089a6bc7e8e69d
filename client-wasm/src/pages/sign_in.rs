//! Signing in with the client key or its words.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::app::Store;
use crate::browser;
use crate::components::busy::busy_button;
use crate::components::field::{answer, text, truth};
use crate::form::typed_key;
use crate::state::{Access, Key};

/// Asks for the key.
#[component]
pub(crate) fn SignIn() -> impl IntoView {
    let store = expect_context::<Store>();
    let key = RwSignal::new(String::new());
    let is_busy = RwSignal::new(false);
    let is_shown = RwSignal::new(false);
    let kind = text(move || Some(if is_shown.get() { "text" } else { "password" }.to_owned()));
    let error = store.select(|state| match &state.access {
        Access::Out(why) => why.clone(),
        Access::Returning | Access::In(_) => None,
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let typed = key.with_untracked(|key| typed_key(key).to_owned());
        if typed.is_empty() || is_busy.get_untracked() {
            browser::focus("key");
            return;
        }
        is_busy.set(true);
        spawn_local(async move {
            store.sign_in(Key(typed)).await;
            if is_busy.try_set(false).is_none() && store.key().is_none() {
                browser::focus("key");
            }
        });
    };
    Effect::new(move |_| browser::focus("key"));
    view! {
        <main>
            <section class="narrow" aria-labelledby="sign-in-title">
                <h2 id="sign-in-title">"Sign in"</h2>
                <p class="hint">
                    "With the client key of this server, or the words that stand for it. \
                     The server showed both when it was set up, and keeps them in \
                     data/secrets.env."
                </p>
                <form on:submit=submit>
                    // What a password manager keeps the key under.
                    <input
                        class="visually-hidden"
                        type="text"
                        name="username"
                        autocomplete="username"
                        value="cluster client"
                        readonly
                        tabindex="-1"
                        aria-hidden="true"
                    />
                    <label for="key">"Client key or words"</label>
                    <input
                        id="key"
                        type=kind
                        autocomplete="current-password"
                        spellcheck="false"
                        required
                        aria-invalid=truth(move || error.with(Option::is_some))
                        aria-describedby="key-error"
                        bind:value=key
                    />
                    <label class="check">
                        <input id="show-key" type="checkbox" on:change=move |_| is_shown.update(|it| *it = !*it)/>
                        "Show it"
                    </label>
                    <div class="actions">
                        {busy_button("sign-in", "Sign in", is_busy)}
                    </div>
                    {answer("key-error", error)}
                </form>
            </section>
        </main>
    }
}
