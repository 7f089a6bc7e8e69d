//! What only the browser can do: time, chance, focus, files.

use std::time::Duration;

use js_sys::Promise;
use shared::time::UnixMillis;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, HtmlAnchorElement, HtmlElement, Url};

/// How long the browser is given to begin saving a file before its bytes are let go.
const SAVING: Duration = Duration::from_secs(60);

/// This device's wall time.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as u64)
}

/// A number in 0..1; not for secrets.
pub(crate) fn draw() -> f64 {
    js_sys::Math::random()
}

/// Ends after `duration`; later in a tab that is not in view.
pub(crate) async fn sleep(duration: Duration) {
    let ms = i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let timer = Promise::new(&mut |resolve, _| {
        // Without a window nothing is left to wake up for.
        let _ = web_sys::window().map(|window| {
            window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms)
        });
    });
    // It never rejects.
    let _ = JsFuture::from(timer).await;
}

/// Moves the keyboard to the element `id`, and scrolls no further than to show it.
pub(crate) fn focus(id: &str) {
    if let Some(element) = html_element(id) {
        // An element that cannot take it leaves it where it was.
        let _ = element.focus();
    }
}

/// The title of the tab.
pub(crate) fn set_title(title: &str) {
    if let Some(document) = document() {
        document.set_title(title);
    }
}

/// Whether the tab is in view.
pub(crate) fn is_visible() -> bool {
    document().is_none_or(|document| !document.hidden())
}

/// Copies `text` to the clipboard; false where the browser does not allow it.
pub(crate) async fn copy(text: &str) -> bool {
    // Only secure contexts have a clipboard.
    let Some(window) = web_sys::window().filter(|window| window.is_secure_context()) else {
        return false;
    };
    let written = window.navigator().clipboard().write_text(text);
    JsFuture::from(written).await.is_ok()
}

/// Selects what stands in the field `id`, so that it can be copied by hand.
pub(crate) fn select(id: &str) {
    let field = html_element(id).and_then(|it| it.dyn_into::<web_sys::HtmlInputElement>().ok());
    if let Some(field) = field {
        field.select();
    }
}

/// Saves `blob` as a file called `name`.
///
/// # Errors
/// What the browser threw.
pub(crate) fn save(blob: &Blob, name: &str) -> Result<(), JsValue> {
    let document = document().ok_or(JsValue::NULL)?;
    let url = Url::create_object_url_with_blob(blob)?;
    let link: HtmlAnchorElement = document.create_element("a")?.dyn_into()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    wasm_bindgen_futures::spawn_local(async move {
        sleep(SAVING).await;
        // What cannot be let go is let go with the page.
        let _ = Url::revoke_object_url(&url);
    });
    Ok(())
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}

fn html_element(id: &str) -> Option<HtmlElement> {
    document()?.get_element_by_id(id)?.dyn_into().ok()
}
