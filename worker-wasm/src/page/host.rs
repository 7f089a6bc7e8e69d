//! The page at work: takes in what the browser, the volunteer and the runtime do, and passes on
//! what follows.
//!
//! Everything arrives as one [`Happening`] and is handled to its end before the next. What the page
//! looks like is decided in `state`.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Reflect};
use shared::envelope::VerifyingKey;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Document, MessageEvent, MessagePort, PageTransitionEvent, Response, Window, Worker,
    WorkerOptions, WorkerType,
};

use super::dom::Dom;
use super::frame::SandboxFrame;
use super::keepsakes::Keepsakes;
use super::shelf::StorageShelf;
use super::state::{Event, Obstacle, State};
use super::{address, device, invite, typed};
use crate::bearer::request;
use crate::messages::{FromRuntime, JoinOrder, LinkView, ToRuntime, crossing};

/// Time between two tries to ask the server for its key, in milliseconds.
const RETRY_MS: i32 = 4_000;
const CONFIG_PATH: &str = "api/public-config";
/// Tells what the cluster does to who shows an invitation, and why not where that does not hold.
const INVITE_PATH: &str = "api/worker/metrics";
const UNAUTHORIZED: u16 = 401;
/// The member of a refusal that says why.
const REFUSAL: &str = "error";
const CONTENTS_PATH: &str = "api/content/";

type Emit = Rc<dyn Fn(Happening)>;

/// What happens to the page.
enum Happening {
    /// A frame has loaded; its control port.
    Frame(MessagePort),
    Runtime(FromRuntime),
    RuntimeBroke,
    /// What the server told of itself, as JSON; `None` where it did not answer.
    Config(Option<String>),
    RetryConfig,
    Battery(Option<JsValue>),
    DeviceChanged,
    StartPressed,
    LeavePressed,
    AgainPressed,
    /// The volunteer has typed an invitation.
    InviteTyped,
    /// What the server said of the invitation; `None` where it lets in, or did not answer.
    InviteChecked(Option<String>),
    /// The page is closed, reloaded, or left for another.
    Closing,
}

/// The member of the server's public configuration that a worker needs.
const SIGNING_KEY: &str = "jobSigningPublicKeySpkiB64";
/// The member of an invitation that names the signing key, where it does.
const KEY_ID: &str = "kid";

/// Starts the page.
pub(crate) fn start() {
    let window = web_sys::window().expect("pages have a window");
    let document = window.document().expect("pages have a document");
    let invite = address::take_invite(&window);
    let host: Rc<RefCell<Option<Host>>> = Rc::default();
    let target = Rc::clone(&host);
    let emit: Emit = Rc::new(move |happening| {
        if let Some(host) = target.borrow_mut().as_mut() {
            host.handle(happening);
        }
    });
    let mut page = Host::new(window, document, emit);
    page.open(invite.as_deref());
    *host.borrow_mut() = Some(page);
}

struct Host {
    window: Window,
    document: Document,
    emit: Emit,
    dom: Dom,
    state: State,
    frame: SandboxFrame,
    keepsakes: Keepsakes<StorageShelf>,
    runtime: Option<Worker>,
    has_booted: bool,
    signing_key: Option<String>,
    battery: Option<JsValue>,
}

impl Host {
    fn new(window: Window, document: Document, emit: Emit) -> Self {
        let tab = StorageShelf::new(window.session_storage());
        let device = StorageShelf::new(window.local_storage());
        Self {
            dom: Dom::new(document.clone()),
            state: State::default(),
            frame: SandboxFrame::new(document.clone()),
            keepsakes: Keepsakes::new(tab, device),
            runtime: None,
            has_booted: false,
            signing_key: None,
            battery: None,
            window,
            document,
            emit,
        }
    }

    fn open(&mut self, invite: Option<&str>) {
        if let Some(invite) = invite {
            self.keepsakes.keep_invite(invite);
        }
        let worker = self.keepsakes.worker(&self.random16());
        let credential = self.keepsakes.credential(&worker);
        let is_returning = credential
            .as_ref()
            .is_some_and(|it| matches!(it, shared::wire::Credential::Session { .. }));
        self.state.apply(Event::Opened {
            has_credential: credential.is_some(),
            is_returning,
        });
        self.show_origin();
        self.listen_to_buttons();
        self.listen_to_closing();
        self.ask_server();
        if !is_returning {
            self.check_invite();
        }
        self.ask_battery();
        if self.start_runtime().is_err() {
            self.state
                .apply(Event::Blocked(Obstacle::OldBrowser("module workers")));
        }
        self.show();
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Frame(port) => self.tell_with(&ToRuntime::Frame, &[port]),
            Happening::Runtime(message) => self.runtime_said(message),
            Happening::RuntimeBroke => self.runtime_broke(),
            Happening::Config(answer) => self.server_answered(answer.as_deref()),
            Happening::RetryConfig => self.ask_server(),
            Happening::Battery(battery) => {
                self.battery = battery;
                self.watch_device();
            }
            Happening::DeviceChanged => self.tell(&ToRuntime::Device(self.facts())),
            Happening::StartPressed => self.join(),
            Happening::LeavePressed => self.leave(),
            Happening::AgainPressed => self.open_anew(),
            Happening::InviteTyped => self.follow_typed(),
            Happening::InviteChecked(refusal) => self.invite_checked(refusal.as_deref()),
            Happening::Closing => self.tell(&ToRuntime::Leave),
        }
        self.show();
    }

    fn show(&mut self) {
        self.dom.show(self.state.view());
    }

    fn facts(&self) -> shared::wire::DeviceFacts {
        device::facts(&self.window, self.battery.as_ref())
    }

    fn random16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let crypto = self
            .window
            .crypto()
            .expect_throw("pages have random numbers");
        crypto
            .get_random_values_with_u8_array(&mut bytes)
            .expect_throw("sixteen bytes are within the browser's limit");
        bytes
    }

    /// Who asks: the one thing that a page cannot claim falsely.
    fn show_origin(&self) {
        let origin = self.window.location().origin().unwrap_or_default();
        if let Some(element) = self.dom.element("origin") {
            element.set_text_content(Some(&origin));
        }
    }

    fn listen_to_buttons(&self) {
        self.on("start", "click", || Happening::StartPressed);
        self.on("leave", "click", || Happening::LeavePressed);
        self.on("again", "click", || Happening::AgainPressed);
        self.on("invite", "submit", || Happening::InviteTyped);
    }

    fn on(&self, id: &str, event: &str, happening: fn() -> Happening) {
        let Some(element) = self.dom.element(id) else {
            return;
        };
        let emit = Rc::clone(&self.emit);
        let happened = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            // A form is not sent anywhere.
            event.prevent_default();
            emit(happening());
        });
        let listener = happened.as_ref().unchecked_ref();
        element
            .add_event_listener_with_callback(event, listener)
            .expect_throw("elements can be listened to");
        // It lives as long as the page.
        happened.forget();
    }

    /// Loads the page anew; what it has kept lets it join.
    fn open_anew(&self) {
        // A page that cannot be reloaded still says so.
        let _ = self.window.location().reload();
    }

    fn follow_typed(&self) {
        let typed = self.dom.element("invite-words");
        let typed = typed.and_then(|it| Reflect::get(&it, &"value".into()).ok()?.as_string());
        let path = typed.and_then(|typed| typed::path(&typed));
        let url = path.and_then(|path| address::below_base(&self.document, &path));
        match url {
            Some(url) => {
                // A page that cannot be left stays as it is.
                let _ = self.window.location().assign(&url.href());
            }
            None => self.dom.focus("invite-words"),
        }
    }

    /// Asks whether the invitation lets in, before the volunteer is asked for anything.
    fn check_invite(&self) {
        let Some(invite) = self.keepsakes.invite() else {
            return;
        };
        let Ok(request) = request(INVITE_PATH, &invite) else {
            return;
        };
        let promise = self.window.fetch_with_request(&request);
        let emit = Rc::clone(&self.emit);
        spawn_local(async move {
            let refusal = async {
                let response: Response = JsFuture::from(promise).await?.unchecked_into();
                if response.status() == UNAUTHORIZED {
                    JsFuture::from(response.text()?).await
                } else {
                    Err(JsValue::NULL)
                }
            };
            let refusal = refusal.await.ok().and_then(|it| it.as_string());
            emit(Happening::InviteChecked(refusal));
        });
    }

    fn invite_checked(&mut self, refusal: Option<&str>) {
        let said = refusal.and_then(|json| text_in(json, REFUSAL));
        if let Some(reason) = said.as_deref().and_then(|text| text.rsplit(' ').next()) {
            self.state
                .apply(Event::Blocked(Obstacle::DeadInvite(reason.into())));
        }
    }

    /// The runtime often lives just long enough to say goodbye, which spares others the wait for a
    /// device that will not come back. A page that the browser keeps aside goes on when it returns.
    fn listen_to_closing(&self) {
        let emit = Rc::clone(&self.emit);
        let closing =
            Closure::<dyn FnMut(PageTransitionEvent)>::new(move |event: PageTransitionEvent| {
                if !event.persisted() {
                    emit(Happening::Closing);
                }
            });
        let listener = closing.as_ref().unchecked_ref();
        self.window
            .add_event_listener_with_callback("pagehide", listener)
            .expect_throw("pages can be closed");
        // It lives as long as the page.
        closing.forget();
    }

    fn start_runtime(&mut self) -> Result<(), JsValue> {
        let body = self.document.body().ok_or(JsValue::NULL)?;
        let script = body.get_attribute("data-runtime").ok_or(JsValue::NULL)?;
        let url = address::below_base(&self.document, &script).ok_or(JsValue::NULL)?;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(&url.href(), &options)?;
        let emit = Rc::clone(&self.emit);
        let said = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(message) = crossing::from_value(event.data()) {
                emit(Happening::Runtime(message));
            }
        });
        let emit = Rc::clone(&self.emit);
        let broke = Closure::<dyn FnMut()>::new(move || emit(Happening::RuntimeBroke));
        worker.set_onmessage(Some(said.as_ref().unchecked_ref()));
        worker.set_onerror(Some(broke.as_ref().unchecked_ref()));
        // They live as long as the page.
        said.forget();
        broke.forget();
        self.runtime = Some(worker);
        Ok(())
    }

    fn runtime_said(&mut self, message: FromRuntime) {
        match &message {
            FromRuntime::Booted => {
                self.has_booted = true;
                self.replace_frame();
            }
            FromRuntime::NeedFrame => self.replace_frame(),
            FromRuntime::Joined { worker, token } => self.keepsakes.joined(worker, token),
            FromRuntime::Status(status) => {
                if matches!(status.link, LinkView::Left | LinkView::Dismissed(_)) {
                    self.end_work();
                }
            }
            FromRuntime::SelfTested(_) | FromRuntime::Refused { .. } => {}
        }
        self.state.apply(Event::Runtime(message));
    }

    fn replace_frame(&mut self) {
        let emit = Rc::clone(&self.emit);
        let replaced = self.frame.replace(move |port| emit(Happening::Frame(port)));
        if replaced.is_err() {
            self.state.apply(Event::Blocked(Obstacle::RuntimeBroke));
        }
    }

    /// A runtime that breaks before it has said anything does not know this kind of worker.
    fn runtime_broke(&mut self) {
        let obstacle = if self.has_booted {
            Obstacle::RuntimeBroke
        } else {
            Obstacle::OldBrowser("module workers or WebAssembly")
        };
        self.end_work();
        self.state.apply(Event::Blocked(obstacle));
    }

    /// Removes the sandbox and everything in it, and the runtime.
    fn end_work(&mut self) {
        self.frame.remove();
        if let Some(runtime) = self.runtime.take() {
            runtime.terminate();
        }
    }

    fn ask_server(&self) {
        let promise = self.window.fetch_with_str(CONFIG_PATH);
        let emit = Rc::clone(&self.emit);
        spawn_local(async move {
            let answer = async {
                let response: Response = JsFuture::from(promise).await?.unchecked_into();
                if response.ok() {
                    JsFuture::from(response.text()?).await
                } else {
                    Err(JsValue::NULL)
                }
            };
            let text = answer.await.ok().and_then(|it| it.as_string());
            emit(Happening::Config(text));
        });
    }

    fn server_answered(&mut self, answer: Option<&str>) {
        let Some(json) = answer else {
            self.state.apply(Event::ServerUnreachable);
            return self.ask_later();
        };
        let key = text_in(json, SIGNING_KEY);
        let known = key
            .as_deref()
            .and_then(|key| VerifyingKey::from_spki_b64(key).ok());
        let event = match known {
            None => Event::Blocked(Obstacle::BadKey),
            Some(known) if !self.invite_allows(&known) => Event::Blocked(Obstacle::OtherKey),
            Some(known) => Event::KeyKnown {
                fingerprint: known.kid().to_string(),
            },
        };
        self.signing_key = key;
        self.state.apply(event);
    }

    fn invite_allows(&self, key: &VerifyingKey) -> bool {
        let claims = self.keepsakes.invite().and_then(|it| invite::claims(&it));
        let named = claims.and_then(|claims| text_in(&claims, KEY_ID));
        named.is_none_or(|named| named == key.kid().to_string())
    }

    fn ask_later(&self) {
        let emit = Rc::clone(&self.emit);
        let again = Closure::once_into_js(move || emit(Happening::RetryConfig));
        let again = again.unchecked_ref();
        self.window
            .set_timeout_with_callback_and_timeout_and_arguments_0(again, RETRY_MS)
            .expect_throw("functions can be timed");
    }

    fn ask_battery(&self) {
        let window = self.window.clone();
        let emit = Rc::clone(&self.emit);
        spawn_local(async move {
            let battery = device::battery(&window).await;
            emit(Happening::Battery(battery));
        });
    }

    fn watch_device(&self) {
        let emit = Rc::clone(&self.emit);
        let changed = Closure::<dyn FnMut()>::new(move || emit(Happening::DeviceChanged));
        let listener = changed.as_ref().unchecked_ref();
        device::watch(&self.window, self.battery.as_ref(), listener);
        // It lives as long as the page.
        changed.forget();
    }

    fn join(&mut self) {
        let Some(order) = self.order().filter(|_| self.state.can_start()) else {
            return;
        };
        self.state.apply(Event::Started);
        self.tell(&ToRuntime::Join(Box::new(order)));
        self.show();
        self.dom.focus("headline");
    }

    fn order(&self) -> Option<JoinOrder> {
        let worker = self.keepsakes.worker(&self.random16());
        Some(JoinOrder {
            secret: self.keepsakes.secret(self.random16()),
            credential: self.keepsakes.credential(&worker)?,
            worker,
            invite: self.keepsakes.invite(),
            signing_key: self.signing_key.clone()?,
            socket_url: address::socket_url(&self.document)?,
            contents_url: address::below_base(&self.document, CONTENTS_PATH)?.href(),
            device: self.facts(),
        })
    }

    /// The processors are free at once; the runtime says goodbye and ends by itself.
    fn leave(&mut self) {
        self.frame.remove();
        self.tell(&ToRuntime::Leave);
        self.state.apply(Event::LeaveAsked);
        self.show();
        self.dom.focus("headline");
    }

    fn tell(&self, message: &ToRuntime) {
        self.tell_with(message, &[]);
    }

    fn tell_with(&self, message: &ToRuntime, ports: &[MessagePort]) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        let transfer: Array = ports.iter().collect();
        runtime
            .post_message_with_transfer(&crossing::to_value(message), &transfer)
            .expect_throw("our messages can be cloned");
    }
}

/// A member of a JSON object that is a text.
fn text_in(json: &str, member: &str) -> Option<String> {
    let object = js_sys::JSON::parse(json).ok()?;
    Reflect::get(&object, &member.into()).ok()?.as_string()
}
