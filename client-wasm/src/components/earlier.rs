//! The jobs before the one that is shown.

use leptos::prelude::*;
use shared::time::UnixMillis;

use crate::app::Store;
use crate::components::field::flag;
use crate::format;
use crate::state::{Past, State};

/// Characters of an id that tell it from a handful of others.
const ID_CHARS: usize = 8;

/// A list to choose from; nothing where there is none.
#[component]
pub(crate) fn Earlier() -> impl IntoView {
    let store = expect_context::<Store>();
    let past = store.select_at(past);
    let list = move || {
        let past = past.get().unwrap_or_default();
        past.lines()
            .filter_map(|line| row(store, line))
            .collect::<Vec<_>>()
    };
    view! {
        <div id="earlier" hidden=flag(move || past.with(Option::is_none))>
            <h3>"Earlier jobs"</h3>
            <ul>{list}</ul>
        </div>
    }
}

/// A line a job: id, state, and how long ago it was submitted.
fn past(state: &State, now: UnixMillis) -> Option<String> {
    let shown = state.job.as_ref().map(|job| job.id);
    let line = |past: &Past| {
        let ago = format::ago(now.since(past.submitted_at));
        format!("{} {} {ago}\n", past.id, past.standing.word())
    };
    let lines: String = state.history.besides(shown).iter().map(line).collect();
    Some(lines).filter(|lines| !lines.is_empty())
}

fn row(store: Store, line: &str) -> Option<AnyView> {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next();
    let (id, word, ago) = (next()?, next()?.to_owned(), next()?.to_owned());
    let short = id.get(..ID_CHARS)?.to_owned();
    let id = id.parse().ok()?;
    let row = view! {
        <li>
            <button type="button" on:click=move |_| store.reopen(id)>
                <span class="mono">{short}</span>
                <span>{word}</span>
                <span class="hint">{ago}</span>
            </button>
        </li>
    };
    Some(row.into_any())
}
