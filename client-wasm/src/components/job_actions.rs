//! What can be done with the job that is shown: hold it, stop it, save it.
//!
//! The row keeps its place whatever is in it, so that nothing below it jumps.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::ids::JobId;

use crate::api::{self, CallError};
use crate::app::Store;
use crate::browser;
use crate::components::field::{Text, Wrong, answer, flag, text};
use crate::state::{Key, Order, State};

const STOP: &str = "Stop";
const STOP_FOR_GOOD: &str = "Stop for good?";
const UNSAVED: &str = "The browser could not save the file.";

/// What a button does.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Order(Order),
    Save,
}

/// The buttons of the job.
#[component]
pub(crate) fn JobActions() -> impl IntoView {
    let store = expect_context::<Store>();
    let is_busy = RwSignal::new(false);
    let is_asked = RwSignal::new(false);
    let wrong = Wrong::default();
    let act = move |deed| {
        let job = store.peek(|state| state.job.as_ref().map(|job| job.id));
        let Some((key, id)) = store.key().zip(job).filter(|_| !is_busy.get_untracked()) else {
            return;
        };
        is_busy.set(true);
        wrong.nothing();
        spawn_local(async move {
            wrong.refused(done(store, key, id, deed).await);
            is_busy.try_set(false);
        });
    };
    let stop = move || {
        if is_asked.get_untracked() {
            act(Deed::Order(Order::Stop));
        }
        is_asked.update(|it| *it = !*it);
    };
    let stop_label = text(move || {
        let label = if is_asked.get() { STOP_FOR_GOOD } else { STOP };
        Some(label.to_owned())
    });
    let label = |label: &'static str| text(move || Some(label.to_owned()));
    let buttons: Vec<AnyView> = [
        ("pause", label("Pause"), Deed::Order(Order::Pause)),
        ("resume", label("Resume"), Deed::Order(Order::Resume)),
        ("stop", stop_label, Deed::Order(Order::Stop)),
        ("download", label("Download as JSON"), Deed::Save),
    ]
    .into_iter()
    .map(|(id, label, deed)| {
        let press = move |_| match deed {
            Deed::Order(Order::Stop) => stop(),
            Deed::Order(Order::Pause | Order::Resume) | Deed::Save => act(deed),
        };
        let hidden = nothing_to(store, deed);
        let forget = move |_| is_asked.set(false);
        view! {
            <button type="button" id=id hidden=hidden on:click=press on:blur=forget>{label}</button>
        }
        .into_any()
    })
    .collect();
    view! {
        <div class="actions" id="job-actions">{buttons}</div>
        {answer("job-actions-error", wrong.text())}
    }
}

/// Whether there is nothing to do it to.
fn nothing_to(store: Store, deed: Deed) -> Text {
    let can: fn(&State) -> Option<String> = match deed {
        Deed::Order(Order::Pause) => |state| can(state, Order::Pause),
        Deed::Order(Order::Resume) => |state| can(state, Order::Resume),
        Deed::Order(Order::Stop) => |state| can(state, Order::Stop),
        Deed::Save => |state| state.job.as_ref()?.has_file().then(String::new),
    };
    let can = store.select(can);
    flag(move || can.with(Option::is_none))
}

fn can(state: &State, order: Order) -> Option<String> {
    let orders = state.job.as_ref()?.orders();
    orders.contains(&order).then(String::new)
}

/// Does it; what to tell where it failed.
async fn done(store: Store, key: Key, id: JobId, deed: Deed) -> Option<String> {
    let failed = match deed {
        Deed::Order(order) => api::order(&key, id, order).await.err(),
        Deed::Save => match api::job_file(&key, id).await {
            Ok(blob) => {
                let saved = browser::save(&blob, &format!("job-{id}.json"));
                return saved.is_err().then(|| UNSAVED.to_owned());
            }
            Err(error) => Some(error),
        },
    };
    let error = failed?;
    // An order that comes too late harms nobody: how the job ended is on its way.
    if matches!(error, CallError::Refused { status: 400, .. }) {
        return None;
    }
    store.failed(error)
}
