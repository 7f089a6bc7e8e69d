//! What runs of a script gave: their values, what they printed, and why they failed.

use leptos::prelude::*;
use shared::api::RunEnvelope;

use crate::format;
use crate::json;
use crate::state::Collected;
use crate::words;

/// Characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 64 * 1024;
/// Characters of a value that stand in a row.
const PREVIEW_CHARS: usize = 80;

/// What a run is to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// All there is.
    Job,
    /// One of many.
    Row,
}

/// One run.
pub(crate) fn run_view(run: &RunEnvelope, place: Place) -> AnyView {
    let facts = words::run_facts(run);
    let notes: Vec<AnyView> = run.notes.iter().map(|note| hint(note.clone())).collect();
    let outcome = if run.ok {
        value(run, place)
    } else {
        failure(run)
    };
    let console = (!run.output.text.is_empty()).then(|| {
        let cut = run
            .output
            .truncated
            .then(|| hint("Lines were cut off.".to_owned()));
        view! {
            <h3>"Console"</h3>
            {block("console", "Console output", run.output.text.clone())}
            {cut}
        }
        .into_any()
    });
    view! {
        {outcome}
        {console}
        {notes}
        {hint(facts)}
    }
    .into_any()
}

fn failure(run: &RunEnvelope) -> AnyView {
    let title = format!("The script {}", words::exit(run));
    let error = run.error.clone();
    let message = error.as_ref().map(|error| error.message.clone());
    let stack = error.and_then(|error| error.stack);
    view! {
        <h3>{title}</h3>
        <p class="error run-error">{message}</p>
        {stack.map(|stack| block("stack", "Stack of the error", stack))}
    }
    .into_any()
}

fn value(run: &RunEnvelope, place: Place) -> AnyView {
    let (text, is_cut) = match &run.return_value {
        Some(value) => json::pretty(value.get(), MAX_VALUE_CHARS),
        None => (run.return_type.clone(), false),
    };
    let cut = is_cut.then(|| hint("This is the beginning. The file has all of it.".to_owned()));
    let nothing = words::nothing_returned(run).map(|text| hint(text.to_owned()));
    let id = (place == Place::Job).then_some("result");
    view! {
        <h3>"Result"</h3>
        <div id=id>{block("value", "Result", text)}</div>
        {cut}
        {nothing}
    }
    .into_any()
}

fn block(class: &'static str, label: &'static str, text: String) -> AnyView {
    view! { <pre class=class tabindex="0" role="group" aria-label=label>{text}</pre> }.into_any()
}

fn hint(text: String) -> AnyView {
    view! { <p class="hint">{text}</p> }.into_any()
}

/// The first results of a job that collects.
pub(crate) fn collected_view(collected: &Collected) -> AnyView {
    let known = collected.rows.len() as u64;
    let all = format::counted(collected.total, "result");
    let summary = if known == collected.total {
        format!("{all}, in the order of the shards.")
    } else {
        format!(
            "The first {} of {all}. The file has all of them.",
            format::grouped(known)
        )
    };
    let rows: Vec<AnyView> = collected.rows.iter().enumerate().map(row).collect();
    view! {
        <h3>"Results"</h3>
        {hint(summary)}
        <div id="result" class="rows">{rows}</div>
    }
    .into_any()
}

fn row((at, run): (usize, &RunEnvelope)) -> AnyView {
    let preview = match (&run.error, &run.return_value) {
        (Some(error), _) => json::preview(&error.message, PREVIEW_CHARS),
        (None, Some(value)) => json::preview(value.get(), PREVIEW_CHARS),
        (None, None) => run.return_type.clone(),
    };
    let class = if run.ok { "mono" } else { "mono error" };
    let run = run.clone();
    // What nobody looks at is not laid out.
    let opened = RwSignal::new(false);
    let inside = move || opened.get().then(|| run_view(&run, Place::Row));
    view! {
        <details on:toggle=move |_| opened.set(true)>
            <summary>
                <span class="hint">{at.to_string()}</span>
                <span class=class>{preview}</span>
            </summary>
            {inside}
        </details>
    }
    .into_any()
}
