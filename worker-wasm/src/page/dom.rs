//! Makes the document look as a view says. Only what has changed is touched, so that nothing is
//! announced twice.

use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlButtonElement, HtmlElement};

use super::state::View;

/// The document as it was last made to look.
pub(super) struct Dom {
    document: Document,
    shown: View,
}

impl Dom {
    pub(super) fn new(document: Document) -> Self {
        Self {
            document,
            shown: View::default(),
        }
    }

    /// The element of the page with this id.
    pub(super) fn element(&self, id: &str) -> Option<Element> {
        self.document.get_element_by_id(id)
    }

    /// Moves the keyboard's focus, where what it was on has gone.
    pub(super) fn focus(&self, id: &str) {
        if let Some(element) = self.element(id) {
            // A page that cannot move the focus still works.
            let _ = element.unchecked_into::<HtmlElement>().focus();
        }
    }

    /// Shows `view`.
    pub(super) fn show(&mut self, view: View) {
        let old = std::mem::replace(&mut self.shown, view);
        let new = &self.shown;
        if old.state != new.state
            && let Some(body) = self.document.body()
        {
            // Without it the page works and looks plain.
            let _ = body.set_attribute("data-state", new.state);
        }
        for (id, old, new) in [
            ("headline", old.headline.as_str(), new.headline.as_str()),
            ("explanation", &old.explanation, &new.explanation),
            ("countdown", &old.countdown, &new.countdown),
            ("self-test", &old.self_test, &new.self_test),
            ("fingerprint", &old.fingerprint, &new.fingerprint),
            ("start", old.start_label, new.start_label),
            ("again", old.again_label, new.again_label),
            ("done-count", &old.done, &new.done),
            ("running-count", &old.running, &new.running),
            ("waiting-count", &old.waiting, &new.waiting),
            ("computing-time", &old.computing_time, &new.computing_time),
            ("device", &old.device, &new.device),
        ] {
            if old != new {
                self.set_text(id, new);
            }
        }
        self.set_hidden("consent", !new.is_consent_shown);
        self.set_hidden("work", !new.is_work_shown);
        self.set_hidden("invite", !new.is_invite_asked);
        self.set_hidden("again", new.again_label.is_empty());
        self.set_hidden("leave", !new.can_leave);
        self.set_hidden("refused", new.refusals.is_empty());
        if let Some(start) = self.element("start") {
            let start: HtmlButtonElement = start.unchecked_into();
            if start.disabled() == new.can_start {
                start.set_disabled(!new.can_start);
            }
        }
        if old.refusals != new.refusals {
            self.set_lines("refusals", &new.refusals);
        }
    }

    fn set_text(&self, id: &str, text: &str) {
        if let Some(element) = self.element(id) {
            element.set_text_content(Some(text));
        }
    }

    fn set_hidden(&self, id: &str, is_hidden: bool) {
        if let Some(element) = self.element(id) {
            let element: HtmlElement = element.unchecked_into();
            if element.hidden() != is_hidden {
                element.set_hidden(is_hidden);
            }
        }
    }

    fn set_lines(&self, id: &str, lines: &[String]) {
        let Some(list) = self.element(id) else {
            return;
        };
        list.set_text_content(None);
        for line in lines {
            if let Ok(item) = self.document.create_element("li") {
                item.set_text_content(Some(line));
                // A line that cannot be added is missed, nothing else.
                let _ = list.append_child(&item);
            }
        }
    }
}
