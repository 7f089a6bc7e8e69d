//! What only the browser can do: time, chance, focus, files.

use std::time::Duration;

use js_sys::Promise;
use shared::time::UnixMillis;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, Clipboard, HtmlAnchorElement, HtmlDocument, HtmlElement, HtmlTextAreaElement, Url, Window,
};

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

/// Whether the keyboard is in a field of one line.
pub(crate) fn is_in_line(event: &web_sys::Event) -> bool {
    let target = event.target();
    target.is_some_and(|target| target.has_type::<web_sys::HtmlInputElement>())
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

/// The clipboard, which only secure contexts have.
pub(crate) fn clipboard() -> Option<Clipboard> {
    let window = web_sys::window().filter(Window::is_secure_context)?;
    Some(window.navigator().clipboard())
}

/// Puts `text` there; false where the browser does not allow it.
pub(crate) async fn write(clipboard: Clipboard, text: &str) -> bool {
    JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

/// Selects what stands in the field `id`, and copies it without a clipboard. False where the
/// browser does not do it; then it can be copied by hand. To be called while a press is handled.
pub(crate) fn select_and_copy(id: &str) -> bool {
    focus(id);
    select(id);
    let document = document().and_then(|it| it.dyn_into::<HtmlDocument>().ok());
    document.is_some_and(|document| document.exec_command("copy").unwrap_or(false))
}

/// Selects what stands in the field `id`.
pub(crate) fn select(id: &str) {
    let field = html_element(id).and_then(|it| it.dyn_into::<HtmlTextAreaElement>().ok());
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
