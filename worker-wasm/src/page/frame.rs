//! The sandbox frame: made, replaced and removed here; what goes through its port is not the page's.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{Document, HtmlElement, HtmlIFrameElement, MessageChannel, MessagePort};

/// Where the frame's page is, below the base path.
const SANDBOX: &str = "sandbox";

/// The page's only sandbox frame, if there is one.
pub(super) struct SandboxFrame {
    document: Document,
    element: Option<HtmlIFrameElement>,
    loaded: Option<Closure<dyn FnMut()>>,
}

impl SandboxFrame {
    pub(super) const fn new(document: Document) -> Self {
        Self {
            document,
            element: None,
            loaded: None,
        }
    }

    /// Removes the frame, and with it every executor at once.
    pub(super) fn remove(&mut self) {
        self.loaded = None;
        if let Some(element) = self.element.take() {
            element.set_onload(None);
            element.remove();
        }
    }

    /// Puts a fresh frame in the place of the old one, and calls back with its control port.
    pub(super) fn replace(
        &mut self,
        opened: impl Fn(MessagePort) + 'static,
    ) -> Result<(), JsValue> {
        self.remove();
        let element: HtmlIFrameElement = self.document.create_element("iframe")?.dyn_into()?;
        for (name, value) in [
            ("sandbox", "allow-scripts"),
            ("allow", ""),
            ("referrerpolicy", "no-referrer"),
            ("src", SANDBOX),
            ("title", "Sandbox"),
            ("aria-hidden", "true"),
        ] {
            element.set_attribute(name, value)?;
        }
        element.unchecked_ref::<HtmlElement>().set_hidden(true);
        let frame = element.clone();
        let is_open = Rc::new(RefCell::new(false));
        let loaded = Closure::<dyn FnMut()>::new(move || {
            // A frame loads once; were it to load again, something else would be in it.
            if !is_open.replace(true)
                && let Some(port) = hand_over(&frame)
            {
                opened(port);
            }
        });
        element.set_onload(Some(loaded.as_ref().unchecked_ref()));
        let body = self.document.body().ok_or(JsValue::NULL)?;
        body.append_child(&element)?;
        self.element = Some(element);
        self.loaded = Some(loaded);
        Ok(())
    }
}

/// Gives the frame one end of a channel. An opaque origin cannot be named, hence `*`: what is in
/// there was loaded from our own address under a policy that lets it go nowhere else.
fn hand_over(frame: &HtmlIFrameElement) -> Option<MessagePort> {
    let channel = MessageChannel::new().ok()?;
    frame
        .content_window()?
        .post_message_with_transfer(&JsValue::NULL, "*", &Array::of1(&channel.port2()))
        .ok()?;
    Some(channel.port1())
}
