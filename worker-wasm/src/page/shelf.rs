//! Browser storage as a shelf. Where it is blocked or full, memory stands in for it.

use std::cell::RefCell;

use wasm_bindgen::JsValue;
use web_sys::Storage;

use super::keepsakes::Shelf;

/// See the module.
pub(super) struct StorageShelf {
    storage: Option<Storage>,
    memory: RefCell<Vec<(String, String)>>,
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
        let memory = self.memory.borrow();
        let kept = memory.iter().find(|(known, _)| known == key);
        let kept = kept.map(|(_, value)| value.clone());
        kept.or_else(|| self.storage.as_ref()?.get_item(key).ok()?)
    }

    fn set(&self, key: &str, value: &str) {
        let stored = self.storage.as_ref().map(|it| it.set_item(key, value));
        if !matches!(stored, Some(Ok(()))) {
            let mut memory = self.memory.borrow_mut();
            memory.retain(|(known, _)| known != key);
            memory.push((key.into(), value.into()));
        }
    }
}
