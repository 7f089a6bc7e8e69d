//! The whole page: the store that every view reads, and what keeps it current.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::WorkerList;
use shared::ids::JobId;
use shared::time::UnixMillis;

use crate::api::{self, CallError};
use crate::browser;
use crate::components::field::flag;
use crate::components::new_job::Typed;
use crate::follow::{self, Following};
use crate::pages::{dashboard::Dashboard, sign_in::SignIn};
use crate::retry::Retry;
use crate::state::{Access, Event, Key, Standing, State};
use crate::storage;
use crate::words;

const ASK_EVERY: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_secs(1);

/// The state, as every view gets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store {
    state: RwSignal<State>,
    now: RwSignal<UnixMillis>,
    following: StoredValue<Option<Following>, LocalStorage>,
}

impl Store {
    fn new() -> Self {
        Self {
            state: RwSignal::new(State::default()),
            now: RwSignal::new(browser::now()),
            following: StoredValue::new_local(None),
        }
    }

    pub(crate) fn apply(self, event: Event) {
        self.state.update(|state| {
            let before = state.history.clone();
            state.apply(event);
            if state.history != before {
                storage::keep_history(&state.history);
            }
        });
    }

    /// A part of the state; views that read it change only when it does. A function pointer, so
    /// that parts of one type share their machine code.
    pub(crate) fn select<T>(self, part: fn(&State) -> T) -> Memo<T>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.state.with(part))
    }

    /// As [`Self::select`], of what changes with time, too.
    pub(crate) fn select_at<T>(self, part: fn(&State, UnixMillis) -> T) -> Memo<T>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| {
            let now = self.now.get().max(browser::now());
            self.state.with(|state| part(state, now))
        })
    }

    /// A part of the state as it is, for who does not want to hear of changes.
    pub(crate) fn peek<T>(self, part: impl FnOnce(&State) -> T) -> T {
        self.state.with_untracked(part)
    }

    pub(crate) fn key(self) -> Option<Key> {
        self.peek(|state| state.key().cloned())
    }

    /// Checks a key that was typed, and signs in with it. A server that cannot be reached is told
    /// from a wrong key.
    pub(crate) async fn sign_in(self, key: Key) {
        match api::check_key(&key).await {
            Ok(()) => self.let_in(key).await,
            Err(error) => self.refuse(error.words()),
        }
    }

    /// Checks the key that was kept over a reload. Only the server's word makes the page forget it.
    async fn return_with(self, key: Key) {
        let mut retry = Retry::default();
        self.apply(Event::Returned);
        while self.peek(|state| state.access == Access::Returning) {
            match api::check_key(&key).await {
                Ok(()) => {
                    if let Some(id) = storage::load_job() {
                        self.apply(Event::JobReopened(id));
                    }
                    return self.let_in(key).await;
                }
                Err(error @ CallError::Unauthorized(_)) => return self.refuse(error.words()),
                Err(error) => self.apply(Event::Troubled(error.words())),
            }
            browser::sleep(retry.delay(browser::draw())).await;
        }
    }

    async fn let_in(self, key: Key) {
        storage::keep_key(&key);
        // What comes first on the page depends on the devices.
        self.take_workers(api::workers(&key).await);
        self.apply(Event::SignedIn(key));
        browser::sleep(Duration::ZERO).await;
        let devices_first = self.peek(|state| state.devices_first);
        browser::focus(if devices_first {
            "devices-title"
        } else {
            "new-job"
        });
        if let Some(id) = self.peek(|state| state.job.as_ref().map(|job| job.id)) {
            self.follow(id);
        }
    }

    /// The key is not accepted (any more).
    pub(crate) fn refuse(self, why: String) {
        storage::forget_key();
        self.following.set_value(None);
        self.apply(Event::SignInRefused(why));
    }

    pub(crate) fn sign_out(self) {
        storage::forget_all();
        self.following.set_value(None);
        self.apply(Event::SignedOut);
    }

    /// The server took a job: follows it, and brings it into view.
    pub(crate) fn job_submitted(self, id: JobId, note: Option<String>) {
        storage::keep_job(id);
        let at = browser::now();
        self.apply(Event::JobSubmitted { id, note, at });
        self.follow(id);
        browser::focus("job-title");
    }

    /// Shows a job of the history.
    pub(crate) fn reopen(self, id: JobId) {
        storage::keep_job(id);
        self.apply(Event::JobReopened(id));
        self.follow(id);
        browser::focus("job-title");
    }

    fn follow(self, id: JobId) {
        if let Some(key) = self.key() {
            self.following.set_value(Some(follow::start(self, key, id)));
        }
    }

    /// What a call that the user asked for did not give: `None` where the user has to sign in first.
    pub(crate) fn failed(self, error: CallError) -> Option<String> {
        match error {
            CallError::Unauthorized(why) => {
                self.refuse(why);
                None
            }
            CallError::Refused { .. } | CallError::Unreachable | CallError::NotUnderstood => {
                Some(error.words())
            }
        }
    }

    /// Asks which devices are connected, and what they do.
    pub(crate) async fn load_workers(self) {
        let Some(key) = self.key() else { return };
        let answer = api::workers(&key).await;
        self.take_workers(answer);
    }

    fn take_workers(self, answer: Result<WorkerList, CallError>) {
        match answer {
            Ok(workers) => {
                self.apply(Event::WorkersLoaded(workers));
                self.apply(Event::Recovered);
            }
            Err(error) => {
                if let Some(why) = self.failed(error) {
                    self.apply(Event::Troubled(format!("{why} Trying again …")));
                }
            }
        }
    }

    async fn keep_current(self) {
        loop {
            browser::sleep(ASK_EVERY).await;
            if browser::is_visible() {
                self.load_workers().await;
                self.hear_of_earlier_jobs().await;
            }
        }
    }

    async fn hear_of_earlier_jobs(self) {
        let past = self.peek(|state| {
            let shown = state.job.as_ref().map(|job| job.id);
            state.history.besides(shown)
        });
        for past in past.into_iter().filter(|past| past.standing.is_open()) {
            let Some(key) = self.key() else { return };
            let standing = match api::job((&key).into(), past.id).await {
                Ok(members) => members.read().ok().map(|state| Some(Standing::of(&state))),
                Err(CallError::Refused { status: 404, .. }) => Some(None),
                // Of all other trouble the devices' list tells.
                Err(
                    CallError::Unauthorized(_)
                    | CallError::Refused { .. }
                    | CallError::Unreachable
                    | CallError::NotUnderstood,
                ) => None,
            };
            if let Some(standing) = standing {
                self.apply(Event::JobHeardOf(past.id, standing));
            }
        }
    }
}

/// The root component.
#[component]
pub(crate) fn App() -> impl IntoView {
    let store = Store::new();
    provide_context(store);
    let typed = Typed::default();
    provide_context(typed);
    store.apply(Event::HistoryFound(storage::load_history()));
    if let Some(key) = storage::load_key() {
        spawn_local(store.return_with(key));
    }
    spawn_local(store.keep_current());
    set_interval(move || store.now.set(browser::now()), TICK);
    let is_in = store.select(|state| state.key().map(|_| String::new()));
    let is_returning = store.select(|state| (state.access == Access::Returning).then(String::new));
    let trouble = store.select(|state| state.trouble.clone());
    let sign_out = move |_| {
        store.sign_out();
        typed.forget();
    };
    let title = store.select(|state| Some(words::title(state)));
    Effect::new(move |_| browser::set_title(&title.get().unwrap_or_default()));
    view! {
        <header>
            <h1>"Cluster"</h1>
            <button id="sign-out" hidden=flag(move || is_in.with(Option::is_none)) on:click=sign_out>
                "Sign out"
            </button>
        </header>
        {move || match (is_in.with(Option::is_some), is_returning.with(Option::is_some)) {
            (true, _) => view! { <Dashboard/> }.into_any(),
            (false, true) => view! { <main><p class="hint center">"Signing in …"</p></main> }.into_any(),
            (false, false) => view! { <SignIn/> }.into_any(),
        }}
        <div id="trouble" role="status"><p>{trouble}</p></div>
    }
}
