//! What lasts as long as the tab: the client key, and which job it follows.

use shared::ids::JobId;
use web_sys::Storage;

use crate::state::Key;

const KEY: &str = "cluster_client_token";
const JOB: &str = "cluster_client_job";

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

/// Forgets everything.
pub(crate) fn forget_all() {
    remove(KEY);
    remove(JOB);
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
