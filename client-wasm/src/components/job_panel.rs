//! How the submitted job goes, and what came out.

use leptos::prelude::*;
use shared::api::{JobStatus, ShardCounts};
use shared::time::UnixMillis;

use crate::app::Store;
use crate::components::earlier::Earlier;
use crate::components::field::{flag, text};
use crate::components::job_actions::JobActions;
use crate::components::outcome::{OutcomeView, totals_view};
use crate::figures::Figures;
use crate::format;
use crate::state::{FollowedJob, State};
use crate::totals::Totals;
use crate::words;

/// Progress and result of the job that is shown, and the way back to earlier ones.
#[component]
pub(crate) fn JobPanel() -> impl IntoView {
    let store = expect_context::<Store>();
    let id = store.select(|state| Some(state.job.as_ref()?.id.to_string()));
    let status = store.select(|state| Some(status_name(state.job.as_ref()).to_owned()));
    view! {
        <section id="job-panel" aria-labelledby="job-title" data-status=status>
            <div class="heading">
                <h2 id="job-title" tabindex="-1">"Job"</h2>
                <span class="hint mono" id="job-id">{id}</span>
            </div>
            {move || if id.with(Option::is_some) {
                view! { <Going/> }.into_any()
            } else {
                view! {
                    <p class="hint">
                        "Nothing has been run in this tab yet. How a job goes and what comes out \
                         is shown here."
                    </p>
                }.into_any()
            }}
            <Earlier/>
        </section>
    }
}

fn status_name(job: Option<&FollowedJob>) -> &'static str {
    let Some(job) = job else { return "none" };
    match job.state.as_ref().map(|state| state.status) {
        None => "submitted",
        Some(JobStatus::Queued) => "queued",
        Some(JobStatus::Running) => "running",
        Some(JobStatus::Done) => "done",
        Some(JobStatus::Failed) => "failed",
    }
}

#[component]
fn Going() -> impl IntoView {
    let store = expect_context::<Store>();
    let status = store.select(|state| state.job.as_ref().map(words::status));
    let error = store.select(|state| {
        let error = state.job.as_ref()?.state.as_ref()?.error.as_ref()?;
        words::job_error(error)
    });
    let note = store.select(|state| state.job.as_ref()?.note.clone());
    let link = store.select(|state| words::link(state.job.as_ref()?.link).map(str::to_owned));
    let partial = store.select(partial);
    let partial_title =
        store.select(|state| Some(words::partial_title(state.job.as_ref()?).to_owned()));
    let has_partial = flag(move || partial.with(Option::is_some));
    view! {
        <p id="job-status" role="status">{status}</p>
        <p class="error" id="job-error" role="alert">{error}</p>
        <Progress/>
        <JobActions/>
        <p class="hint" id="job-note">{note}</p>
        <p class="hint" id="job-link">{link}</p>
        {move || has_partial.get().map(|_| view! {
            <div id="partial">
                <h3>{partial_title}</h3>
                {totals_view(partial)}
            </div>
        }.into_any())}
        <OutcomeView/>
    }
}

/// What the shards amount to without a result; it stays until that has come.
fn partial(state: &State) -> Option<Totals> {
    let job = state.job.as_ref().filter(|job| job.outcome.is_none())?;
    let partial = job.state.as_ref()?.partial.as_ref()?;
    (partial.completed_shards > 0).then(|| Totals::of(partial, job.is_about_pi()))
}

fn figures(state: &State, now: UnixMillis) -> Option<Figures> {
    Some(Figures::of(state.job.as_ref()?, now))
}

#[component]
fn Progress() -> impl IntoView {
    let store = expect_context::<Store>();
    let figures = store.select_at(figures);
    let is_whole = flag(move || counts(figures).is_none());
    let figure = move |part: fn(&Figures) -> String| {
        text(move || figures.with(|figures| figures.as_ref().map(part)))
    };
    let count =
        move |part: fn(ShardCounts) -> u64| text(move || Some(part(counts(figures)?).to_string()));
    view! {
        <progress
            id="job-progress"
            aria-label="Shards done"
            hidden=is_whole
            max=count(|shards| shards.total.max(1))
            value=count(|shards| shards.completed)
        ></progress>
        <dl class="figures">
            <div hidden=is_whole>
                <dt>"Shards"</dt>
                <dd id="job-shards">{figure(shards_done)}</dd>
            </div>
            <div hidden=is_whole>
                <dt>"Speed"</dt>
                <dd id="job-rate">{figure(|figures| figures.rate.clone())}</dd>
            </div>
            <div>
                <dt>{figure(|figures| figures.time_label.to_owned())}</dt>
                <dd id="job-time">{figure(|figures| figures.time.clone())}</dd>
            </div>
        </dl>
    }
}

fn counts(figures: Memo<Option<Figures>>) -> Option<ShardCounts> {
    figures.with(|figures| figures.as_ref()?.shards)
}

fn shards_done(figures: &Figures) -> String {
    let Some(shards) = figures.shards else {
        return String::new();
    };
    let (completed, total) = (
        format::grouped(shards.completed),
        format::grouped(shards.total),
    );
    match shards.failed {
        0 => format!("{completed} of {total}"),
        failed => format!("{completed} of {total}, {} failed", format::grouped(failed)),
    }
}
