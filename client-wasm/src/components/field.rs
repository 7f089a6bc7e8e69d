//! Fields of forms, and what is wrong with them.
//!
//! Parts are erased (`AnyView`) and what changes is a [`Text`], so that all fields share their
//! machine code: every other type of view or signal costs the page kilobytes.

use leptos::prelude::*;

use crate::form::{Field, FieldError};

/// A text that changes; `None` takes the element's text or attribute away.
pub(crate) type Text = Memo<Option<String>>;

/// A text that changes when what `now` reads does.
pub(crate) fn text(now: impl Fn() -> Option<String> + Send + Sync + 'static) -> Text {
    text_of(Box::new(now))
}

/// One memo for all of them.
fn text_of(now: Box<dyn Fn() -> Option<String> + Send + Sync>) -> Text {
    Memo::new(move |_| now())
}

/// An attribute that is there or not.
pub(crate) fn flag(is_there: impl Fn() -> bool + Send + Sync + 'static) -> Text {
    text(move || is_there().then(String::new))
}

/// An `aria-…` attribute that is `true` or `false`.
pub(crate) fn truth(is_true: impl Fn() -> bool + Send + Sync + 'static) -> Text {
    text(move || Some(is_true().to_string()))
}

/// What is wrong with a form: a field of it, or what the server said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wrong(RwSignal<Option<(Option<Field>, String)>>);

impl Wrong {
    pub(crate) fn nothing(self) {
        self.0.set(None);
    }

    pub(crate) fn field(self, error: FieldError) {
        self.0.set(Some((Some(error.field), error.text)));
    }

    /// A form that is gone has nobody to tell.
    pub(crate) fn refused(self, why: Option<String>) {
        self.0.try_set(why.map(|why| (None, why)));
    }

    /// What to tell.
    pub(crate) fn text(self) -> Text {
        text(move || self.0.with(|wrong| Some(wrong.as_ref()?.1.clone())))
    }

    /// Somebody corrects `field`.
    fn corrected(self, field: Field) {
        if self
            .0
            .with_untracked(|wrong| wrong.as_ref().and_then(|wrong| wrong.0))
            == Some(field)
        {
            self.nothing();
        }
    }

    fn is_at(self, field: Field) -> Text {
        truth(move || {
            let at = self
                .0
                .with(|wrong| wrong.as_ref().and_then(|wrong| wrong.0));
            at == Some(field)
        })
    }
}

/// One line of text.
pub(crate) fn line(
    field: Field,
    label: &'static str,
    value: RwSignal<String>,
    wrong: Wrong,
    answer_id: &'static str,
) -> AnyView {
    view! {
        <div>
            <label for=field.id()>{label}</label>
            <input
                id=field.id()
                class="mono"
                inputmode=if field.is_number() { "numeric" } else { "text" }
                spellcheck="false"
                autocapitalize="off"
                autocomplete="off"
                aria-invalid=wrong.is_at(field)
                aria-describedby=answer_id
                on:input=move |_| wrong.corrected(field)
                bind:value=value
            />
        </div>
    }
    .into_any()
}

/// Several lines of text.
pub(crate) fn area(
    field: Field,
    label: &'static str,
    rows: &'static str,
    value: RwSignal<String>,
    wrong: Wrong,
    answer_id: &'static str,
) -> AnyView {
    view! {
        <div>
            <label for=field.id()>{label}</label>
            <textarea
                id=field.id()
                rows=rows
                spellcheck="false"
                autocapitalize="off"
                autocomplete="off"
                aria-invalid=wrong.is_at(field)
                aria-describedby=answer_id
                on:input=move |_| wrong.corrected(field)
                bind:value=value
            ></textarea>
        </div>
    }
    .into_any()
}

/// Where a form says what is wrong: below its button, which so never moves.
pub(crate) fn answer(id: &'static str, text: Text) -> AnyView {
    view! { <p class="error answer" id=id role="alert">{text}</p> }.into_any()
}
