//! The whole page: who is signed in decides what is shown, and two slow timers keep it current.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{self, CallError};
use crate::pages::{dashboard::Dashboard, sign_in::SignIn};
use crate::state::{Event, State};
use crate::storage;

const WORKERS_EVERY: Duration = Duration::from_secs(2);
const JOB_EVERY: Duration = Duration::from_millis(400);

/// The state, as every view gets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store(RwSignal<State>);

impl Store {
    pub(crate) fn apply(self, event: Event) {
        self.0.update(|state| state.apply(event));
    }

    /// A part of the state; views that read it change only when it does.
    pub(crate) fn select<T>(self, part: impl Fn(&State) -> T + Send + Sync + 'static) -> Memo<T>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.0.with(&part))
    }

    pub(crate) fn key(self) -> Option<String> {
        self.0.with_untracked(|state| state.key.clone())
    }

    /// What a failed call means.
    pub(crate) fn fail(self, error: CallError) {
        match error {
            CallError::Unauthorized(why) => {
                storage::keep_key(None);
                self.apply(Event::SignInRefused(why));
            }
            CallError::Failed(why) => self.apply(Event::CallFailed(why)),
        }
    }

    /// Checks a key and signs in with it.
    pub(crate) async fn sign_in(self, key: String) {
        match api::check_key(&key).await {
            Ok(()) => {
                storage::keep_key(Some(&key));
                self.apply(Event::SignedIn(key));
                self.load_workers().await;
            }
            Err(CallError::Unauthorized(why) | CallError::Failed(why)) => {
                storage::keep_key(None);
                self.apply(Event::SignInRefused(why));
            }
        }
    }

    async fn load_workers(self) {
        let Some(key) = self.key() else { return };
        match api::workers(&key).await {
            Ok(workers) => {
                self.apply(Event::WorkersLoaded(workers));
                self.apply(Event::Recovered);
            }
            Err(error) => self.fail(error),
        }
    }

    pub(crate) async fn load_job(self) {
        let followed = self
            .0
            .with_untracked(|state| state.followed_job().map(str::to_owned));
        let (Some(key), Some(id)) = (self.key(), followed) else {
            return;
        };
        match api::job(&key, &id).await {
            Ok(job) => self.apply(Event::JobLoaded(Box::new(job))),
            Err(error) => self.fail(error),
        }
    }
}

/// The root component.
#[component]
pub(crate) fn App() -> impl IntoView {
    let store = Store(RwSignal::new(State::default()));
    provide_context(store);
    if let Some(key) = storage::load_key() {
        spawn_local(store.sign_in(key));
    }
    set_interval(move || spawn_local(store.load_workers()), WORKERS_EVERY);
    set_interval(move || spawn_local(store.load_job()), JOB_EVERY);
    let is_signed_in = store.select(|state| state.key.is_some());
    let summary = store.select(|state| {
        let workers = state.workers.as_ref();
        workers.map_or_else(String::new, |workers| {
            let devices = crate::format::counted(workers.count, "device");
            format!(
                "{devices}, {}",
                crate::format::counted(workers.total_slots, "slot")
            )
        })
    });
    let sign_out = move |_| {
        storage::keep_key(None);
        store.apply(Event::SignedOut);
    };
    view! {
        <header>
            <h1>"Cluster"</h1>
            <Show when=move || is_signed_in.get()>
                <span class="hint" id="summary">{summary}</span>
                <button id="sign-out" on:click=sign_out>"Sign out"</button>
            </Show>
        </header>
        <Show when=move || is_signed_in.get() fallback=SignIn>
            <Dashboard/>
        </Show>
    }
}
