//! What came out of a job.

use std::sync::Arc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::JobStatus;
use shared::ids::JobId;

use crate::api;
use crate::app::Store;
use crate::browser;
use crate::components::busy::{Kind, busy_button};
use crate::components::envelope::{Place, collected_view, run_view};
use crate::components::field::{Text, Wrong, answer, flag};
use crate::state::{Outcome, State};
use crate::totals::Totals;

/// An outcome does not change, so one is another only if it lies elsewhere.
#[derive(Clone)]
struct Same(Arc<Outcome>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The result of a job that is done, and its file.
#[component]
pub(crate) fn OutcomeView() -> impl IntoView {
    let store = expect_context::<Store>();
    let outcome = store.select(|state| state.job.as_ref()?.outcome.clone().map(Same));
    let file = store.select(|state| done_job(state).map(|id| id.to_string()));
    view! {
        {move || outcome.get().map(|Same(outcome)| shown(&outcome))}
        {move || file.get().and_then(|id| Some(download(store, id.parse().ok()?)))}
    }
}

fn done_job(state: &State) -> Option<JobId> {
    let job = state.job.as_ref()?;
    let is_done = job.state.as_ref()?.status == JobStatus::Done;
    let has_come = job.outcome.is_some() || job.lost.is_some();
    (is_done && has_come).then_some(job.id)
}

fn shown(outcome: &Outcome) -> AnyView {
    match outcome {
        Outcome::Sum(sum) => {
            let sum = sum.clone();
            view! {
                <h3>"Sum"</h3>
                <p class="figure" id="result">{sum}</p>
            }
            .into_any()
        }
        Outcome::Run(run) => run_view(run, Place::Job),
        Outcome::Reduced(result) => {
            let totals = Totals::of(result);
            let totals = Memo::new(move |_| Some(totals.clone()));
            view! {
                <h3>"Result"</h3>
                <div id="result">{totals_view(totals)}</div>
            }
            .into_any()
        }
        Outcome::Collected(collected) => collected_view(collected),
    }
}

/// What the shards amount to, so far or in the end.
pub(crate) fn totals_view(totals: Memo<Option<Totals>>) -> AnyView {
    let pi: Text = Memo::new(move |_| totals.with(|totals| totals.as_ref()?.pi.clone()));
    let rows = move || {
        let rows = totals.with(|totals| totals.as_ref().map(|totals| totals.rows.clone()));
        let rows = rows.unwrap_or_default().into_iter();
        rows.map(total_row).collect::<Vec<_>>()
    };
    view! {
        <div hidden=flag(move || pi.with(Option::is_none))>
            <p class="label">"Estimate of pi: 4 × hits ÷ samples"</p>
            <p class="figure pi">{pi}</p>
        </div>
        <dl class="values">{rows}</dl>
    }
    .into_any()
}

fn total_row((name, value): (String, String)) -> AnyView {
    view! { <dt>{name}</dt> <dd class="mono">{value}</dd> }.into_any()
}

fn download(store: Store, id: JobId) -> AnyView {
    let is_busy = RwSignal::new(false);
    let wrong = Wrong::default();
    let save = move |_| {
        let Some(key) = store.key().filter(|_| !is_busy.get_untracked()) else {
            return;
        };
        is_busy.set(true);
        wrong.nothing();
        spawn_local(async move {
            match api::job_file(&key, id).await {
                Ok(blob) => {
                    let saved = browser::save(&blob, &format!("job-{id}.json"));
                    let told = saved.map_err(|_| "The browser could not save the file.".to_owned());
                    wrong.refused(told.err());
                }
                Err(error) => wrong.refused(store.failed(error)),
            }
            is_busy.try_set(false);
        });
    };
    view! {
        <div class="actions" on:click=save>
            {busy_button("download", "Download as JSON", Kind::Plain, is_busy)}
        </div>
        {answer("download-error", wrong.text())}
    }
    .into_any()
}
