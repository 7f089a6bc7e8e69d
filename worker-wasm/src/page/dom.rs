//! Makes the document look as a view says. Only what has changed is touched, so that nothing is
//! announced twice.

use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlButtonElement, HtmlElement};

use super::source::SourceView;
use super::state::{JobLine, View};

/// What the buttons of a job ask for: their names, and what they say.
pub(super) const SHOW: &str = "show";
pub(super) const REFUSE: &str = "refuse";
const JOB_BUTTONS: [(&str, &str); 2] = [(SHOW, "View program"), (REFUSE, "Refuse this job")];

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
        if let Some(body) = self.document.body() {
            for (name, old, new) in [
                ("data-state", old.state, new.state),
                ("data-cause", old.cause, new.cause),
            ] {
                if old != new {
                    set_attribute(&body, name, new);
                }
            }
        }
        if old.chart != new.chart
            && let Some(chart) = self.element("chart")
        {
            set_attribute(&chart, "points", &new.chart);
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
            ("slots", &old.slots, &new.slots),
            ("units", &old.units, &new.units),
            ("uptime", &old.uptime, &new.uptime),
            ("traffic", &old.traffic, &new.traffic),
            ("chart-text", &old.chart_text, &new.chart_text),
            ("resume", old.resume_label, new.resume_label),
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
        self.set_hidden("finish", !new.can_finish);
        self.set_hidden("pause", !new.can_pause);
        self.set_hidden("resume", new.resume_label.is_empty());
        self.set_hidden("stop", !new.can_stop);
        self.set_hidden("slowed", !new.is_slowed);
        self.set_hidden("settings", !new.are_settings_shown);
        self.set_hidden("current", new.jobs.is_empty() && new.source.is_none());
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
        if old.jobs != new.jobs {
            self.show_jobs(&old.jobs, &new.jobs);
        }
        if old.source != new.source {
            self.show_source(new.source.as_ref());
        }
    }

    /// Buttons stay as long as their job does, so that none goes from under a finger.
    fn show_jobs(&self, old: &[JobLine], new: &[JobLine]) {
        let Some(list) = self.element("jobs") else {
            return;
        };
        let ids = |lines: &[JobLine]| lines.iter().map(|line| line.job).collect::<Vec<_>>();
        if ids(old) != ids(new) {
            list.set_text_content(None);
            for line in new {
                self.add_job(&list, line);
            }
        } else {
            for line in new {
                self.set_text(&text_of(line), &line.text);
            }
        }
    }

    fn add_job(&self, list: &Element, line: &JobLine) {
        let Some(item) = self.add(list, "li", "") else {
            return;
        };
        if let Some(text) = self.add(&item, "span", &line.text) {
            set_attribute(&text, "id", &text_of(line));
        }
        for (name, label) in JOB_BUTTONS {
            if let Some(button) = self.add(&item, "button", label) {
                set_attribute(&button, "type", "button");
                set_attribute(&button, "name", name);
                set_attribute(&button, "value", &line.job.to_string());
            }
        }
    }

    fn show_source(&self, source: Option<&SourceView>) {
        self.set_hidden("source", source.is_none());
        let view = source.cloned().unwrap_or_default();
        self.set_text("source-title", &view.title);
        self.set_text("source-note", view.note);
        self.set_text("source-code", &view.code);
        self.set_text("source-args", &view.args);
        self.set_hidden("source-all", !view.has_more);
    }

    fn add(&self, parent: &Element, kind: &str, text: &str) -> Option<Element> {
        let element = self.document.create_element(kind).ok()?;
        element.set_text_content(Some(text));
        parent.append_child(&element).ok()?;
        Some(element)
    }

    /// Says `text` in the element with this id.
    pub(super) fn set_text(&self, id: &str, text: &str) {
        if let Some(element) = self.element(id) {
            element.set_text_content(Some(text));
        }
    }

    /// Shows the element with this id, or hides it.
    pub(super) fn set_hidden(&self, id: &str, is_hidden: bool) {
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
            // A line that cannot be added is missed, nothing else.
            let _ = self.add(&list, "li", line);
        }
    }
}

/// The id of the text of a job's line.
fn text_of(line: &JobLine) -> String {
    ["job-", &line.job.to_string()].concat()
}

fn set_attribute(element: &Element, name: &str, value: &str) {
    // Without it the page works and looks plain.
    let _ = element.set_attribute(name, value);
}
