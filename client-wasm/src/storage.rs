//! What lasts as long as the tab: the client key, its jobs, and a script that is being written.

use shared::ids::JobId;
use web_sys::Storage;

use crate::form::ScriptForm;
use crate::state::{History, Key};

const KEY: &str = "cluster_client_token";
const JOB: &str = "cluster_client_job";
const HISTORY: &str = "cluster_client_jobs";
const DRAFT: &str = "cluster_client_draft";

/// The key that was kept, if the browser lets us keep any.
pub(crate) fn load_key() -> Option<Key> {
    load(KEY).map(Key)
}

/// Keeps the key.
pub(crate) fn keep_key(key: &Key) {
    keep(KEY, &key.0);
}

/// Forgets the key, because it is not accepted (any more).
pub(crate) fn forget_key() {
    remove(KEY);
}

/// The job that was followed.
pub(crate) fn load_job() -> Option<JobId> {
    load(JOB)?.parse().ok()
}

/// Keeps which job is followed.
pub(crate) fn keep_job(id: JobId) {
    keep(JOB, &id.to_string());
}

/// The jobs that this tab has submitted.
pub(crate) fn load_history() -> History {
    load(HISTORY).map_or_else(History::default, |text| History::from_text(&text))
}

/// Keeps them.
pub(crate) fn keep_history(history: &History) {
    match history.to_text() {
        nothing if nothing.is_empty() => remove(HISTORY),
        text => keep(HISTORY, &text),
    }
}

/// The script that was being written.
pub(crate) fn load_draft() -> Option<ScriptForm> {
    ScriptForm::from_text(&load(DRAFT)?)
}

/// Keeps it; what every page starts with need not be kept.
pub(crate) fn keep_draft(form: &ScriptForm) {
    if *form == ScriptForm::default() {
        remove(DRAFT);
    } else {
        keep(DRAFT, &form.to_text());
    }
}

/// Forgets everything.
pub(crate) fn forget_all() {
    [KEY, JOB, HISTORY, DRAFT].into_iter().for_each(remove);
}

fn load(name: &str) -> Option<String> {
    storage()?.get_item(name).ok().flatten()
}

// Storage may be full or blocked; then things last until the page is left.
fn keep(name: &str, value: &str) {
    let _ = storage().map(|storage| storage.set_item(name, value));
}

fn remove(name: &str) {
    let _ = storage().map(|storage| storage.remove_item(name));
}

fn storage() -> Option<Storage> {
    web_sys::window()?.session_storage().ok().flatten()
}
