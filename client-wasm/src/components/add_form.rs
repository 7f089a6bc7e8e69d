//! The form of an addition.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::api::Submission;
use crate::app::Store;
use crate::components::busy::busy_button;
use crate::components::field::{Wrong, answer, line};
use crate::components::new_job::Typed;
use crate::components::submission::submit;
use crate::form::{Field, add_request};

/// What was typed into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypedNumbers {
    a: RwSignal<String>,
    b: RwSignal<String>,
}

const FIRST: [&str; 2] = ["2", "40"];

impl Default for TypedNumbers {
    fn default() -> Self {
        let [a, b] = FIRST.map(|number| RwSignal::new(number.to_owned()));
        Self { a, b }
    }
}

impl TypedNumbers {
    pub(crate) fn forget(self) {
        let [a, b] = FIRST.map(str::to_owned);
        self.a.set(a);
        self.b.set(b);
    }
}

/// Asks for two numbers and submits them.
#[component]
pub(crate) fn AddForm() -> impl IntoView {
    let store = expect_context::<Store>();
    let TypedNumbers { a, b } = expect_context::<Typed>().numbers;
    let is_busy = RwSignal::new(false);
    let wrong = Wrong::default();
    let send = move |event: SubmitEvent| {
        event.prevent_default();
        let request = add_request(&a.get_untracked(), &b.get_untracked());
        submit(Submission::Add, request, store, wrong, is_busy);
    };
    view! {
        <form on:submit=send novalidate>
            <div class="row">
                {line(Field::FirstOperand, "First number", a, wrong, "add-error")}
                {line(Field::SecondOperand, "Second number", b, wrong, "add-error")}
            </div>
            <div class="actions">{busy_button("submit-add", "Add", is_busy)}</div>
            {answer("add-error", wrong.text())}
        </form>
    }
}
