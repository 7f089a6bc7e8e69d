//! The body of an answer, chunk by chunk.

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, ReadableStreamReadResult, Response};

/// Bytes as they come.
#[derive(Debug)]
pub(crate) struct Bytes {
    reader: ReadableStreamDefaultReader,
}

impl Bytes {
    /// Those of `response`; `None` where it has none, or they were read already.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let stream = response.body().filter(|stream| !stream.locked())?;
        let reader = stream.get_reader().dyn_into().ok()?;
        Some(Self { reader })
    }

    /// The next of them; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or the call was ended.
    pub(crate) async fn next(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let read = JsFuture::from(self.reader.read()).await?;
        let read: ReadableStreamReadResult = read.unchecked_into();
        if read.get_done().unwrap_or(true) {
            return Ok(None);
        }
        let chunk: Uint8Array = read.get_value().unchecked_into();
        Ok(Some(chunk.to_vec()))
    }

    /// Wants no more.
    pub(crate) fn cancel(&self) {
        // Whether the browser could tell the server makes no difference here.
        let _ = self.reader.cancel();
    }
}
