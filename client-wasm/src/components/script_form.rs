//! The form of a script job.

use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::prelude::*;

use crate::api::Submission;
use crate::app::Store;
use crate::browser;
use crate::components::busy::busy_button;
use crate::components::field::{Wrong, answer, area, line, text};
use crate::components::new_job::Typed;
use crate::components::submission::submit;
use crate::form::{Field, ScriptForm};
use crate::format;
use crate::storage;

/// Id of what tells what is wrong.
const ANSWER: &str = "form-error";

/// What the words of the form mean. It never changes, so it is no view but HTML.
const EXPLAINED: &str = include_str!("explained.html");

/// What was typed into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypedScript {
    code: RwSignal<String>,
    args: RwSignal<String>,
    timeout_ms: RwSignal<String>,
    total_units: RwSignal<String>,
    units_per_shard: RwSignal<String>,
    reducer: RwSignal<String>,
    sum_fields: RwSignal<String>,
    extreme_field: RwSignal<String>,
}

impl Default for TypedScript {
    /// What was being written when the page was loaded anew, or else an example.
    fn default() -> Self {
        let form = storage::load_draft().unwrap_or_default();
        Self {
            code: RwSignal::new(form.code),
            args: RwSignal::new(form.args),
            timeout_ms: RwSignal::new(form.timeout_ms),
            total_units: RwSignal::new(form.total_units),
            units_per_shard: RwSignal::new(form.units_per_shard),
            reducer: RwSignal::new(form.reducer),
            sum_fields: RwSignal::new(form.sum_fields),
            extreme_field: RwSignal::new(form.extreme_field),
        }
    }
}

impl TypedScript {
    pub(crate) fn set(self, form: ScriptForm) {
        self.code.set(form.code);
        self.args.set(form.args);
        self.timeout_ms.set(form.timeout_ms);
        self.total_units.set(form.total_units);
        self.units_per_shard.set(form.units_per_shard);
        self.reducer.set(form.reducer);
        self.sum_fields.set(form.sum_fields);
        self.extreme_field.set(form.extreme_field);
    }

    fn form(self) -> ScriptForm {
        ScriptForm {
            code: self.code.get(),
            args: self.args.get(),
            timeout_ms: self.timeout_ms.get(),
            total_units: self.total_units.get(),
            units_per_shard: self.units_per_shard.get(),
            reducer: self.reducer.get(),
            sum_fields: self.sum_fields.get(),
            extreme_field: self.extreme_field.get(),
        }
    }
}

/// Asks for a script and submits it.
#[component]
pub(crate) fn ScriptFormView() -> impl IntoView {
    let store = expect_context::<Store>();
    let typed = expect_context::<Typed>().script;
    let is_busy = RwSignal::new(false);
    let plan = text(move || Some(plan(&typed.form())));
    let wrong = Wrong::default();
    let send = move || {
        let request = untrack(|| typed.form()).request();
        submit(Submission::Script, request, store, wrong, is_busy);
    };
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        send();
    };
    let on_key = move |event: KeyboardEvent| {
        let is_meant = event.ctrl_key() || event.meta_key();
        if event.key() != "Enter" || !(is_meant || browser::is_in_line(&event)) {
            return;
        }
        // A script that is half written is not sent by a key that ends a line everywhere else.
        event.prevent_default();
        if is_meant {
            send();
        }
    };
    let keep = move |_| storage::keep_draft(&untrack(|| typed.form()));
    let input = move |field, label, value| line(field, label, value, wrong, ANSWER);
    view! {
        <form on:submit=on_submit on:keydown=on_key on:input=keep on:change=keep novalidate>
            {area(Field::Code, "Script: the body of an async function of args and console", "14",
                typed.code, wrong, ANSWER)}
            <div class="row">
                {area(Field::Args, "Args (JSON)", "1", typed.args, wrong, ANSWER)}
                {input(Field::TimeoutMs, "Time limit, ms (0 = none)", typed.timeout_ms)}
            </div>
            <div class="row">
                {input(Field::TotalUnits, "Total units", typed.total_units)}
                {input(Field::UnitsPerShard, "Units per shard", typed.units_per_shard)}
                <div>
                    <label for="reducer">"Results are"</label>
                    <select id="reducer" bind:value=typed.reducer>
                        <option value="sum">"added up"</option>
                        <option value="collect">"collected"</option>
                        <option value="min">"the least"</option>
                        <option value="max">"the greatest"</option>
                    </select>
                </div>
                {move || reducer_field(typed, wrong)}
            </div>
            <p class="hint" id="plan">{plan}</p>
            <details id="explained" inner_html=EXPLAINED></details>
            <div class="actions">
                {busy_button("submit", "Run", is_busy)}
                <span class="hint keys">"or Ctrl+Enter"</span>
            </div>
            {answer(ANSWER, wrong.text())}
        </form>
    }
}

/// What the chosen reducer reads; its place stays where it reads nothing.
fn reducer_field(typed: TypedScript, wrong: Wrong) -> AnyView {
    let (field, label, value) = match typed.reducer.get().as_str() {
        "collect" => return ().into_any(),
        "min" | "max" => (Field::ExtremeField, "Field to compare", typed.extreme_field),
        _ => (
            Field::SumFields,
            "Fields to add (* = all)",
            typed.sum_fields,
        ),
    };
    line(field, label, value, wrong, ANSWER)
}

fn plan(form: &ScriptForm) -> String {
    match (form.is_sharded(), form.total_shards()) {
        (false, _) => "Runs once, on one device.".to_owned(),
        (true, Some(shards)) => format!("Runs as {}.", format::counted(shards, "shard")),
        (true, None) => "Fill in both unit fields, or neither for a single run.".to_owned(),
    }
}
