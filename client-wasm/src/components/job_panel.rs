//! How the submitted job goes, and what came out.

use leptos::prelude::*;
use serde_json::Value;

use crate::app::Store;
use crate::format;
use crate::state::{Job, Shards};

/// Progress and result of the job submitted last.
#[component]
pub(crate) fn JobPanel() -> impl IntoView {
    let store = expect_context::<Store>();
    let job = store.select(|state| state.job.clone());
    let note = store.select(|state| state.note.clone());
    view! {
        {move || job.get().map(|job| view! {
            <section aria-labelledby="job" data-status=job.status.clone() id="job-panel">
                <h2 id="job">"Job"</h2>
                <p class="hint mono">{job.job_id.clone()}</p>
                {move || note.get().map(|note| view! { <p class="hint">{note}</p> })}
                <p id="job-status" aria-live="polite">{status_text(&job)}</p>
                {job.task.shards.map(|shards| view! { <Progress shards/> })}
                {job.error.clone().map(|error| view! { <p class="error" id="job-error">{error}</p> })}
                {(!job.result.is_null()).then(|| view! { <ResultView result=job.result.clone()/> })}
            </section>
        })}
    }
}

fn status_text(job: &Job) -> String {
    let is_idle = job.task.shards.is_some_and(|shards| shards.completed == 0);
    match job.status.as_str() {
        "queued" => "Waiting for a free device.".to_owned(),
        "running" if is_idle => "Running, no shard is done yet.".to_owned(),
        "running" => "Running.".to_owned(),
        "done" => "Done.".to_owned(),
        "failed" => "Failed.".to_owned(),
        other => other.to_owned(),
    }
}

#[component]
fn Progress(shards: Shards) -> impl IntoView {
    let text = format!(
        "{} of {}",
        format::grouped(shards.completed),
        format::counted(shards.total, "shard")
    );
    let failed =
        (shards.failed > 0).then(|| format!(", {} failed", format::grouped(shards.failed)));
    view! {
        <progress
            id="job-progress"
            aria-label="Shards done"
            max=shards.total.to_string()
            value=shards.completed.to_string()
        ></progress>
        <p class="hint">{text}{failed}</p>
    }
}

#[component]
fn ResultView(result: Value) -> impl IntoView {
    let pi = result["derived"]["piEstimate"].as_f64();
    let error = result["error"]["message"].as_str().map(str::to_owned);
    let output = result["output"]["text"]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned);
    let value = result
        .get("returnValue")
        .or_else(|| result.get("aggregate"))
        .unwrap_or(&result);
    let value = serde_json::to_string_pretty(value).unwrap_or_default();
    view! {
        {pi.map(|pi| view! { <h3>"Estimate of pi"</h3> <p class="figure">{pi.to_string()}</p> })}
        {error.map(|error| view! { <h3>"Error"</h3> <p class="error" id="run-error">{error}</p> })}
        {output.map(|text| view! { <h3>"Console"</h3> <pre id="console" tabindex="0">{text}</pre> })}
        <h3>"Result"</h3>
        <pre id="result" tabindex="0">{value}</pre>
    }
}
