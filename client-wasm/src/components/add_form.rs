//! The form of an addition.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::app::Store;
use crate::browser;
use crate::components::busy::{Kind, busy_button};
use crate::components::field::{Wrong, answer, line};
use crate::components::new_job::Typed;
use crate::form::{Field, add_request};

/// What was typed into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypedNumbers {
    a: RwSignal<String>,
    b: RwSignal<String>,
}

impl Default for TypedNumbers {
    fn default() -> Self {
        Self {
            a: RwSignal::new("2".to_owned()),
            b: RwSignal::new("40".to_owned()),
        }
    }
}

/// Asks for two numbers and submits them.
#[component]
pub(crate) fn AddForm() -> impl IntoView {
    let store = expect_context::<Store>();
    let TypedNumbers { a, b } = expect_context::<Typed>().numbers;
    let is_busy = RwSignal::new(false);
    let wrong = Wrong::default();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = match add_request(&a.get_untracked(), &b.get_untracked()) {
            Ok(body) => body,
            Err(error) => {
                browser::focus(error.field.id());
                return wrong.field(error);
            }
        };
        wrong.nothing();
        let Some(key) = store.key().filter(|_| !is_busy.get_untracked()) else {
            return;
        };
        is_busy.set(true);
        spawn_local(async move {
            match api::submit_add(&key, &body).await {
                Ok(created) => store.job_submitted(created.job_id, None),
                Err(error) => wrong.refused(store.failed(error)),
            }
            is_busy.try_set(false);
        });
    };
    view! {
        <form on:submit=submit novalidate>
            <div class="row">
                {line(Field::FirstOperand, "First number", a, wrong, "add-error")}
                {line(Field::SecondOperand, "Second number", b, wrong, "add-error")}
            </div>
            <div class="actions">{busy_button("submit-add", "Add", Kind::Submit, is_busy)}</div>
            {answer("add-error", wrong.text())}
        </form>
    }
}
