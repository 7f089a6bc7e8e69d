//! What came out of a job.

use std::sync::Arc;

use leptos::prelude::*;

use crate::app::Store;
use crate::components::envelope::{Place, collected_view, run_view};
use crate::components::field::{flag, text};
use crate::state::{FollowedJob, Outcome};
use crate::totals::{Total, Totals};

/// An outcome does not change, so one is another only if it lies elsewhere.
#[derive(Clone)]
struct Same(Arc<Outcome>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The result of a job that is done.
#[component]
pub(crate) fn OutcomeView() -> impl IntoView {
    let store = expect_context::<Store>();
    let outcome = store.select(|state| state.job.as_ref()?.outcome.clone().map(Same));
    move || {
        let Same(outcome) = outcome.get()?;
        let is_about_pi =
            store.peek(|state| state.job.as_ref().is_some_and(FollowedJob::is_about_pi));
        Some(shown(&outcome, is_about_pi))
    }
}

fn shown(outcome: &Outcome, is_about_pi: bool) -> AnyView {
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
            let totals = Totals::of(result, is_about_pi);
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
    let pi = text(move || totals.with(|totals| totals.as_ref()?.pi.clone()));
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

fn total_row(total: Total) -> AnyView {
    view! { <dt>{total.name}</dt> <dd class="mono" title=total.exact.unwrap_or_default()>{total.value}</dd> }.into_any()
}
