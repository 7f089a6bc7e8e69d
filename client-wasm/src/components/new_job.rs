//! The form of a new job.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::app::Store;
use crate::form::{Field, FieldError, ScriptForm, add_request};
use crate::format;
use crate::state::Event;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Script,
    Add,
}

/// Asks for a job and submits it.
#[component]
pub(crate) fn NewJob() -> impl IntoView {
    let kind = RwSignal::new(Kind::Script);
    let tab = move |is: Kind, label: &'static str, id: &'static str| {
        view! {
            <button
                type="button"
                role="tab"
                id=id
                aria-selected=move || (kind.get() == is).to_string()
                on:click=move |_| kind.set(is)
            >
                {label}
            </button>
        }
    };
    view! {
        <section aria-labelledby="new-job">
            <h2 id="new-job">"New job"</h2>
            <div class="tabs" role="tablist" aria-label="Kind of job">
                {tab(Kind::Script, "Script", "tab-script")}
                {tab(Kind::Add, "Add two numbers", "tab-add")}
            </div>
            {move || match kind.get() {
                Kind::Script => view! { <Script/> }.into_any(),
                Kind::Add => view! { <Add/> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn Script() -> impl IntoView {
    let store = expect_context::<Store>();
    let form = ScriptForm::default();
    let code = RwSignal::new(form.code);
    let args = RwSignal::new(form.args);
    let timeout_ms = RwSignal::new(form.timeout_ms);
    let total_units = RwSignal::new(form.total_units);
    let units_per_shard = RwSignal::new(form.units_per_shard);
    let reducer = RwSignal::new(form.reducer);
    let sum_fields = RwSignal::new(form.sum_fields);
    let typed = move || ScriptForm {
        code: code.get(),
        args: args.get(),
        timeout_ms: timeout_ms.get(),
        total_units: total_units.get(),
        units_per_shard: units_per_shard.get(),
        reducer: reducer.get(),
        sum_fields: sum_fields.get(),
    };
    let error = RwSignal::new(None::<FieldError>);
    let is_busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = untrack(typed).request();
        error.set(request.as_ref().err().cloned());
        let (Ok(body), Some(key)) = (request, store.key()) else {
            return;
        };
        is_busy.set(true);
        spawn_local(async move {
            match api::submit_script(&key, &body).await {
                Ok(created) => {
                    store.apply(Event::JobCreated(created));
                    store.load_job().await;
                }
                Err(error) => store.fail(error),
            }
            is_busy.try_set(false);
        });
    };
    let plan = move || {
        let form = typed();
        match (form.is_sharded(), form.total_shards()) {
            (false, _) => "Runs once, on one device.".to_owned(),
            (true, Some(shards)) => format!("Runs as {}.", format::counted(shards, "shard")),
            (true, None) => "Fill in both unit fields, or neither for a single run.".to_owned(),
        }
    };
    let is_wrong =
        move |field| error.with(|error| error.as_ref().is_some_and(|it| it.field == field));
    view! {
        <form on:submit=submit novalidate>
            <label for="code">"Script (the body of an async function with args and console)"</label>
            <textarea
                id="code"
                rows="14"
                spellcheck="false"
                autocapitalize="off"
                aria-invalid=move || is_wrong(Field::Code).to_string()
                bind:value=code
            ></textarea>
            <div class="row">
                <div>
                    <label for="args">"Args (JSON)"</label>
                    <input id="args" class="mono" placeholder="{}" spellcheck="false"
                        aria-invalid=move || is_wrong(Field::Args).to_string() bind:value=args/>
                </div>
                <div>
                    <label for="timeout">"Time limit a run, ms (0 = none)"</label>
                    <input id="timeout" inputmode="numeric"
                        aria-invalid=move || is_wrong(Field::TimeoutMs).to_string() bind:value=timeout_ms/>
                </div>
            </div>
            <div class="row">
                <div>
                    <label for="total-units">"Total units"</label>
                    <input id="total-units" inputmode="numeric"
                        aria-invalid=move || is_wrong(Field::TotalUnits).to_string() bind:value=total_units/>
                </div>
                <div>
                    <label for="units-per-shard">"Units per shard"</label>
                    <input id="units-per-shard" inputmode="numeric"
                        aria-invalid=move || is_wrong(Field::UnitsPerShard).to_string()
                        bind:value=units_per_shard/>
                </div>
                <div>
                    <label for="reducer">"Results are"</label>
                    <select id="reducer" bind:value=reducer>
                        <option value="sum">"added up"</option>
                        <option value="min">"reduced to the least"</option>
                        <option value="max">"reduced to the greatest"</option>
                    </select>
                </div>
                <div hidden=move || reducer.get() != "sum">
                    <label for="sum-fields">"Fields to add up"</label>
                    <input id="sum-fields" class="mono"
                        aria-invalid=move || is_wrong(Field::SumFields).to_string() bind:value=sum_fields/>
                </div>
            </div>
            <p class="hint" id="plan">{plan}</p>
            <p class="error" id="form-error" role="alert">
                {move || error.get().map(|error| error.text)}
            </p>
            <div class="actions">
                <button class="primary" id="submit" disabled=is_busy>"Run"</button>
            </div>
        </form>
    }
}

#[component]
fn Add() -> impl IntoView {
    let store = expect_context::<Store>();
    let a = RwSignal::new("2".to_owned());
    let b = RwSignal::new("40".to_owned());
    let error = RwSignal::new(None::<FieldError>);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = add_request(&a.get_untracked(), &b.get_untracked());
        error.set(request.as_ref().err().cloned());
        let (Ok(body), Some(key)) = (request, store.key()) else {
            return;
        };
        spawn_local(async move {
            match api::submit_add(&key, &body).await {
                Ok(created) => {
                    store.apply(Event::JobCreated(created));
                    store.load_job().await;
                }
                Err(error) => store.fail(error),
            }
        });
    };
    view! {
        <form on:submit=submit novalidate>
            <div class="row">
                <div>
                    <label for="a">"First number"</label>
                    <input id="a" inputmode="numeric" bind:value=a/>
                </div>
                <div>
                    <label for="b">"Second number"</label>
                    <input id="b" inputmode="numeric" bind:value=b/>
                </div>
            </div>
            <p class="error" role="alert">{move || error.get().map(|error| error.text)}</p>
            <div class="actions">
                <button class="primary" id="submit-add">"Add"</button>
            </div>
        </form>
    }
}
