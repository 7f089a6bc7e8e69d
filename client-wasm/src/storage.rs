//! The client key in session storage: it lasts as long as the tab.

use web_sys::Storage;

const KEY: &str = "cluster_client_token";

/// The key that was kept, if the browser lets us keep any.
pub(crate) fn load_key() -> Option<String> {
    storage()?.get_item(KEY).ok().flatten()
}

/// Keeps the key, or forgets it.
pub(crate) fn keep_key(key: Option<&str>) {
    let Some(storage) = storage() else { return };
    // Storage may be full or blocked; then the key lasts until the page is left.
    let _ = match key {
        Some(key) => storage.set_item(KEY, key),
        None => storage.remove_item(KEY),
    };
}

fn storage() -> Option<Storage> {
    web_sys::window()?.session_storage().ok().flatten()
}
