//! The runtime's ends of the ports: one to the broker in the frame, one to each executor.
//!
//! Lives here: what crosses the ports. What comes from an executor is a text or it is nothing; it is
//! read elsewhere (`report`).

use std::rc::Rc;

use js_sys::{Array, Float64Array, Object, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{MessageChannel, MessageEvent, MessagePort};

use super::driver::{Emit, Event};
use super::pool::ExecutorId;
use super::work::{COLUMNS, Load};
use crate::small_map::SmallMap;

/// What comes out of the sandbox.
#[derive(Debug)]
pub(super) enum SandboxEvent {
    /// The frame takes commands; it could open these doors, which it should not.
    Opened { doors: Vec<String> },
    /// It answered a ping.
    Pong,
    /// An executor broke.
    Died { id: ExecutorId, reason: String },
    /// An executor said something; `None` where it was no text.
    Said {
        id: ExecutorId,
        text: Option<String>,
    },
}

/// A port and what listens on it.
#[derive(Debug)]
struct Ear {
    port: MessagePort,
    _listener: Closure<dyn FnMut(MessageEvent)>,
}

impl Ear {
    fn on(port: MessagePort, listener: impl FnMut(MessageEvent) + 'static) -> Self {
        let listener = Closure::new(listener);
        port.set_onmessage(Some(Closure::as_ref(&listener).unchecked_ref()));
        Self {
            port,
            _listener: listener,
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.port.set_onmessage(None);
        self.port.close();
    }
}

/// The ports of the frame that is in use.
pub(super) struct Sandbox {
    emit: Emit,
    control: Option<Ear>,
    executors: SmallMap<ExecutorId, Ear>,
}

impl Sandbox {
    pub(super) fn new(emit: &Emit) -> Self {
        Self {
            emit: Rc::clone(emit),
            control: None,
            executors: SmallMap::default(),
        }
    }

    /// Takes over the control port of a frame. Nothing is heard of an earlier one.
    pub(super) fn attach(&mut self, control: MessagePort) {
        self.detach();
        let emit = Rc::clone(&self.emit);
        self.control = Some(Ear::on(control, move |event| {
            if let Some(event) = broker_event(&event.data()) {
                emit(Event::Sandbox(event));
            }
        }));
    }

    /// Forgets the frame and its executors.
    pub(super) fn detach(&mut self) {
        self.control = None;
        self.executors.clear();
    }

    /// Lets the frame start an executor.
    pub(super) fn spawn(&mut self, id: ExecutorId, is_probe: bool) {
        let channel = MessageChannel::new().expect_throw("workers have message channels");
        let emit = Rc::clone(&self.emit);
        let ear = Ear::on(channel.port1(), move |event| {
            let text = event.data().as_string();
            emit(Event::Sandbox(SandboxEvent::Said { id, text }));
        });
        self.executors.insert(id, ear);
        let port = channel.port2();
        let command = record([
            ("type", "spawn".into()),
            ("id", id.0.into()),
            ("isProbe", is_probe.into()),
            ("port", port.clone().into()),
        ]);
        self.command(&command, &[port]);
    }

    /// Lets the frame terminate an executor; nothing is heard of it any more.
    pub(super) fn kill(&mut self, id: ExecutorId) {
        self.executors.remove(id);
        self.command(&record([("type", "kill".into()), ("id", id.0.into())]), &[]);
    }

    /// Asks the frame whether it is alive.
    pub(super) fn ping(&self) {
        self.command(&record([("type", "ping".into()), ("id", 0.into())]), &[]);
    }

    /// Sends rows to an executor, before them what they share.
    pub(super) fn post(&self, id: ExecutorId, load: Option<&Load>, rows: &[f64]) {
        let Some(executor) = self.executors.get(id) else {
            return;
        };
        let message = record([
            ("load", load.map_or(JsValue::NULL, load_record)),
            ("count", ((rows.len() / COLUMNS) as u32).into()),
            ("table", Float64Array::from(rows).into()),
        ]);
        executor
            .port
            .post_message(&message)
            .expect_throw("texts and numbers can be cloned");
    }

    fn command(&self, command: &JsValue, ports: &[MessagePort]) {
        let Some(control) = &self.control else {
            return;
        };
        let transfer: Array = ports.iter().collect();
        control
            .port
            .post_message_with_transferable(command, &transfer)
            .expect_throw("commands can be cloned, and their ports are fresh");
    }
}

/// Reads what the broker says. It is our own script, but it lives next to strangers' code.
fn broker_event(message: &JsValue) -> Option<SandboxEvent> {
    let member = |name: &str| Reflect::get(message, &name.into()).ok();
    match member("type")?.as_string()?.as_str() {
        "open" => {
            let doors = Array::from(&member("doors")?);
            Some(SandboxEvent::Opened {
                doors: doors.iter().filter_map(|door| door.as_string()).collect(),
            })
        }
        "pong" => Some(SandboxEvent::Pong),
        "died" => Some(SandboxEvent::Died {
            id: ExecutorId(member("id")?.as_f64()? as u32),
            reason: member("reason")?.as_string()?,
        }),
        _ => None,
    }
}

fn load_record(load: &Load) -> JsValue {
    let parent_job_id = load.parent_job_id.as_deref();
    record([
        ("code", (*load.code).into()),
        ("args", (*load.args).into()),
        (
            "parentJobId",
            parent_job_id.map_or(JsValue::NULL, Into::into),
        ),
        ("totalShards", (load.total_shards as f64).into()),
        ("totalUnits", (load.total_units as f64).into()),
        ("seed", (load.seed as f64).into()),
        ("isSeeded", load.is_seeded.into()),
        ("budget", load.budget.into()),
    ])
}

fn record<const N: usize>(members: [(&str, JsValue); N]) -> JsValue {
    let record = Object::new();
    for (name, value) in members {
        Reflect::set(&record, &name.into(), &value).expect_throw("a fresh object takes any member");
    }
    record.into()
}
