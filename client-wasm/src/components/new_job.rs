//! The form of a new job: a script, or an addition.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use crate::browser;
use crate::components::add_form::{AddForm, TypedNumbers};
use crate::components::field::{flag, text, truth};
use crate::components::script_form::{ScriptFormView, TypedScript};
use crate::form::ScriptForm;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Script,
    Add,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Script, Self::Add];

    const fn label(self) -> &'static str {
        match self {
            Self::Script => "Script",
            Self::Add => "Add two numbers",
        }
    }

    const fn tab_id(self) -> &'static str {
        match self {
            Self::Script => "tab-script",
            Self::Add => "tab-add",
        }
    }

    const fn panel_id(self) -> &'static str {
        match self {
            Self::Script => "panel-script",
            Self::Add => "panel-add",
        }
    }

    /// The other one: with two tabs, every arrow leads there.
    const fn other(self) -> Self {
        match self {
            Self::Script => Self::Add,
            Self::Add => Self::Script,
        }
    }
}

impl Typed {
    /// Forgets it.
    pub(crate) fn forget(self) {
        self.kind.set(Kind::default());
        self.script.set(ScriptForm::default());
        self.numbers.forget();
    }
}

/// What was typed so far. It outlives the forms, so that who has to sign in again finds it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Typed {
    kind: RwSignal<Kind>,
    pub(crate) script: TypedScript,
    pub(crate) numbers: TypedNumbers,
}

/// Asks for a job and submits it.
#[component]
pub(crate) fn NewJob() -> impl IntoView {
    let kind = expect_context::<Typed>().kind;
    let choose = move |chosen: Kind| {
        kind.set(chosen);
        browser::focus(chosen.tab_id());
    };
    let on_key = move |event: KeyboardEvent| {
        let chosen = match event.key().as_str() {
            "ArrowLeft" | "ArrowRight" => kind.get_untracked().other(),
            "Home" => Kind::Script,
            "End" => Kind::Add,
            _ => return,
        };
        event.prevent_default();
        choose(chosen);
    };
    let tab = move |is: Kind| {
        view! {
            <button
                type="button"
                role="tab"
                id=is.tab_id()
                aria-controls=is.panel_id()
                aria-selected=truth(move || kind.get() == is)
                tabindex=text(move || Some(if kind.get() == is { "0" } else { "-1" }.to_owned()))
                on:click=move |_| choose(is)
                on:keydown=on_key
            >
                {is.label()}
            </button>
        }
        .into_any()
    };
    let panel = move |is: Kind, form: AnyView| {
        view! {
            <div
                role="tabpanel"
                id=is.panel_id()
                aria-labelledby=is.tab_id()
                hidden=flag(move || kind.get() != is)
            >
                {form}
            </div>
        }
        .into_any()
    };
    view! {
        <section id="new" aria-labelledby="new-job">
            <h2 id="new-job" tabindex="-1">"New job"</h2>
            <div class="tabs" role="tablist" aria-label="Kind of job">
                {Vec::from(Kind::ALL.map(tab))}
            </div>
            {panel(Kind::Script, view! { <ScriptFormView/> }.into_any())}
            {panel(Kind::Add, view! { <AddForm/> }.into_any())}
        </section>
    }
}
