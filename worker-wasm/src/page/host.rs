//! The page at work: takes in what the browser, the volunteer and the runtime do, and passes on
//! what follows.
//!
//! Everything arrives as one [`Happening`] and is handled to its end before the next. What the page
//! looks like is decided in `state`.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Date, Reflect};
use shared::envelope::VerifyingKey;
use shared::ids::JobId;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Document, MessageEvent, MessagePort, PageTransitionEvent, Response, Window, Worker,
    WorkerOptions, WorkerType,
};

use super::awake::{self, Awake};
use super::dom::{self, Dom};
use super::frame::SandboxFrame;
use super::keepsakes::Keepsakes;
use super::shelf::StorageShelf;
use super::state::{Event, Mode, Obstacle, State};
use super::{address, device, form, invite, typed};
use crate::bearer::request;
use crate::messages::{FromRuntime, JoinOrder, LinkView, RuntimeStatus, ToRuntime, crossing};
use crate::settings::Settings;
use crate::slots::slots_of;

/// Time between two tries to ask the server for its key, in milliseconds.
const RETRY_MS: i32 = 4_000;
const CONFIG_PATH: &str = "api/public-config";
/// Tells what the cluster does to who shows an invitation, and why not where that does not hold.
const INVITE_PATH: &str = "api/worker/metrics";
const UNAUTHORIZED: u16 = 401;
/// The member of a refusal that says why.
const REFUSAL: &str = "error";
const CONTENTS_PATH: &str = "api/content/";
/// What a device carries is kept in steps of this many bytes: a crash forgets one.
const TRAFFIC_STEP: u64 = 16 * 1024;
const MINUTE_MS: f64 = 60_000.0;

type Emit = Rc<dyn Fn(Happening)>;

/// An element, an event of it, and what that means.
type Control = (&'static str, &'static str, fn() -> Happening);

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
    /// Pause for so many minutes; 0 for until it is resumed.
    PausePressed(u8),
    ResumePressed,
    StopPressed,
    FinishPressed,
    /// A button of a job: its name, and the job.
    JobPressed(String, JobId),
    SourceWanted,
    SourceClosed,
    SettingsMoved,
    SettingsChanged,
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
    if is_given_up(&document) {
        return;
    }
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

/// Whether `pages/floor.js` has found that this browser is too old.
fn is_given_up(document: &Document) -> bool {
    let state = document
        .body()
        .and_then(|it| it.get_attribute("data-state"));
    state.as_deref() == Some(Mode::Blocked.word())
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
    settings: Settings,
    /// Slots that this device allows when it is charged.
    slots: u16,
    awake: Awake,
    is_working: bool,
    /// What was kept last of what the runtime carried: the day, and bytes.
    carried: (u32, u64),
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
            settings: Settings::default(),
            slots: 1,
            awake: Awake::default(),
            is_working: false,
            carried: (0, 0),
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
        self.show_settings();
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
                self.dom.set_hidden("battery", battery.is_none());
                self.battery = battery;
                self.watch_device();
            }
            Happening::DeviceChanged => {
                self.tell(&ToRuntime::Device(self.facts()));
                self.keep_awake();
            }
            Happening::StartPressed => self.join(),
            Happening::LeavePressed => self.leave(),
            Happening::PausePressed(minutes) => self.pause(minutes),
            Happening::ResumePressed => self.resume(),
            Happening::StopPressed => self.answer(&ToRuntime::StopRunning),
            Happening::FinishPressed => self.answer(&ToRuntime::Finish),
            Happening::JobPressed(name, job) => self.tell(&match name.as_str() {
                dom::REFUSE => ToRuntime::RefuseJob(job),
                _ => ToRuntime::ShowJob(job),
            }),
            Happening::SourceWanted => self.state.apply(Event::SourceWanted),
            Happening::SourceClosed => {
                self.state.apply(Event::SourceClosed);
                self.dom.focus("headline");
            }
            Happening::SettingsMoved => form::tell(&self.dom),
            Happening::SettingsChanged => self.settings_changed(),
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
        let plain: [Control; 15] = [
            ("start", "click", || Happening::StartPressed),
            ("leave", "click", || Happening::LeavePressed),
            ("pause-10", "click", || Happening::PausePressed(10)),
            ("pause-60", "click", || Happening::PausePressed(60)),
            ("pause-0", "click", || Happening::PausePressed(0)),
            ("resume", "click", || Happening::ResumePressed),
            ("stop", "click", || Happening::StopPressed),
            ("finish", "click", || Happening::FinishPressed),
            ("source-all", "click", || Happening::SourceWanted),
            ("source-close", "click", || Happening::SourceClosed),
            ("limits", "input", || Happening::SettingsMoved),
            ("limits", "change", || Happening::SettingsChanged),
            ("limits", "submit", || Happening::SettingsChanged),
            ("again", "click", || Happening::AgainPressed),
            ("invite", "submit", || Happening::InviteTyped),
        ];
        for (id, event, happening) in plain {
            self.on(id, event, move |_| Some(happening()));
        }
        self.on("jobs", "click", |event| {
            let button = event.target()?;
            let said = |name: &str| Reflect::get(&button, &name.into()).ok()?.as_string();
            let job = said("value")?.parse().ok()?;
            Some(Happening::JobPressed(said("name")?, job))
        });
    }

    fn on(
        &self,
        id: &str,
        event: &str,
        happening: impl Fn(&web_sys::Event) -> Option<Happening> + 'static,
    ) {
        let Some(element) = self.dom.element(id) else {
            return;
        };
        let emit = Rc::clone(&self.emit);
        let happened = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            // A form is not sent anywhere.
            event.prevent_default();
            if let Some(happening) = happening(&event) {
                emit(happening);
            }
        });
        let listener = happened.as_ref().unchecked_ref();
        element
            .add_event_listener_with_callback(event, listener)
            .expect_throw("elements can be listened to");
        // It lives as long as the page.
        happened.forget();
    }

    fn show_settings(&mut self) {
        self.settings = self.keepsakes.settings();
        self.slots = slots_of(&self.facts());
        form::show(&self.dom, &self.settings, self.slots);
        let is_possible = awake::is_possible(&self.window);
        self.dom.set_hidden("awake-choice", !is_possible);
    }

    /// What was half typed is shown as it is meant.
    fn settings_changed(&mut self) {
        self.settings = form::read(&self.dom, self.slots);
        self.keepsakes.keep_settings(&self.settings);
        form::show(&self.dom, &self.settings, self.slots);
        self.tell(&ToRuntime::Settings(self.settings.line()));
        self.keep_awake();
    }

    fn keep_awake(&self) {
        let is_wanted = self.settings.is_kept_awake && self.is_working;
        self.awake.keep(&self.window, is_wanted);
    }

    fn pause(&self, minutes: u8) {
        let until = Date::now() + f64::from(minutes) * MINUTE_MS;
        let until = (minutes > 0).then_some(until as u64);
        self.keepsakes.keep_pause(Some(until));
        self.answer(&ToRuntime::Pause { until });
    }

    fn resume(&self) {
        self.keepsakes.keep_pause(None);
        self.answer(&ToRuntime::Resume);
    }

    /// Does what a button asks for that may be gone when it is done.
    fn answer(&self, message: &ToRuntime) {
        self.tell(message);
        self.dom.focus("headline");
    }

    /// What a volunteer has said before holds again.
    fn remind_runtime(&mut self) {
        self.tell(&ToRuntime::Settings(self.settings.line()));
        if let Some(until) = self.keepsakes.pause() {
            self.tell(&ToRuntime::Pause { until });
        }
    }

    /// Adds up what all tabs of this device carry, and tells the runtime.
    fn count_traffic(&mut self, status: &RuntimeStatus) {
        let (day, kept) = self.carried;
        let is_same_day = day == status.day;
        let kept = if is_same_day { kept } else { 0 };
        let more = status.day_bytes.saturating_sub(kept);
        if is_same_day && more < TRAFFIC_STEP {
            return;
        }
        let bytes = self.keepsakes.carry(status.day, more);
        self.carried = (status.day, bytes);
        if bytes != status.day_bytes {
            let day = status.day;
            self.tell(&ToRuntime::Traffic { day, bytes });
        }
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
                self.remind_runtime();
                self.replace_frame();
            }
            FromRuntime::NeedFrame => self.replace_frame(),
            FromRuntime::Joined { worker, token } => self.keepsakes.joined(worker, token),
            FromRuntime::Status(status) => {
                self.count_traffic(status);
                let is_online = device::member(&self.window.navigator(), "onLine");
                self.state
                    .apply(Event::Online(is_online != Some(JsValue::FALSE)));
                if matches!(status.link, LinkView::Left | LinkView::Dismissed(_)) {
                    self.end_work();
                }
            }
            FromRuntime::SelfTested(_)
            | FromRuntime::Refused { .. }
            | FromRuntime::Source { .. } => {}
        }
        let is_source = matches!(message, FromRuntime::Source { .. });
        self.state.apply(Event::Runtime(message));
        if self.state.is_blocked() {
            self.end_work();
        }
        if is_source {
            self.show();
            self.dom.focus("source-title");
        }
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
        self.is_working = false;
        self.keep_awake();
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
        self.is_working = true;
        self.keep_awake();
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
        self.is_working = false;
        self.keep_awake();
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
