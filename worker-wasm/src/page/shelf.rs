//! Browser storage as a shelf. Where it is blocked or full, memory stands in for it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use wasm_bindgen::JsValue;
use web_sys::Storage;

use super::keepsakes::Shelf;

/// See the module.
pub(super) struct StorageShelf {
    storage: Option<Storage>,
    memory: RefCell<BTreeMap<String, String>>,
}

impl StorageShelf {
    /// Of what the browser gave; asking for blocked storage throws.
    pub(super) fn new(storage: Result<Option<Storage>, JsValue>) -> Self {
        Self {
            storage: storage.ok().flatten(),
            memory: RefCell::default(),
        }
    }
}

impl Shelf for StorageShelf {
    fn get(&self, key: &str) -> Option<String> {
        let kept = self.memory.borrow().get(key).cloned();
        kept.or_else(|| self.storage.as_ref()?.get_item(key).ok()?)
    }

    fn set(&self, key: &str, value: &str) {
        let stored = self.storage.as_ref().map(|it| it.set_item(key, value));
        if !matches!(stored, Some(Ok(()))) {
            self.memory.borrow_mut().insert(key.into(), value.into());
        }
    }
}
