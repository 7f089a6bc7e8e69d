//! Following a job: its stream, or questions where there is none, and its result in the end.
//!
//! One task a followed job. It ends when nothing is left to learn, or when it is dropped for another
//! job. Not here: what the news mean (`state`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::set_timeout_with_handle;
use shared::api::{CHANGE_EVENT, Members, SNAPSHOT_EVENT};
use shared::ids::JobId;
use web_sys::{AbortController, AbortSignal};

use crate::api::{self, Bytes, CallError, Caller};
use crate::app::Store;
use crate::browser;
use crate::retry::Retry;
use crate::sse::{Message, Parser};
use crate::state::{Awaited, Event, JobEvent, Key, Link, Outcome};

/// How often a server without stream is asked.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A stream that is silent for longer is as good as broken: the server sends comments meanwhile.
const LONGEST_SILENCE: Duration = Duration::from_secs(45);

/// Ends the following of a job when it is dropped.
#[derive(Debug)]
pub(crate) struct Following(Rc<Control>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.is_wanted.set(false);
        self.0.end_call();
    }
}

/// What ends calls early.
#[derive(Debug)]
struct Control {
    is_wanted: Cell<bool>,
    call: RefCell<Option<AbortController>>,
}

impl Control {
    /// What ends the call that is about to be made.
    fn begin_call(&self) -> Option<AbortSignal> {
        let controller = AbortController::new().ok()?;
        let signal = controller.signal();
        self.call.replace(Some(controller));
        Some(signal)
    }

    fn end_call(&self) {
        if let Some(call) = self.call.take() {
            call.abort();
        }
    }
}

/// Follows the job `id` from here on.
pub(crate) fn start(store: Store, key: Key, id: JobId) -> Following {
    let control = Rc::new(Control {
        is_wanted: Cell::new(true),
        call: RefCell::default(),
    });
    let follower = Follower {
        store,
        key,
        id,
        control: Rc::clone(&control),
        retry: Retry::default(),
        has_stream: true,
    };
    leptos::task::spawn_local(follower.run());
    Following(control)
}

struct Follower {
    store: Store,
    key: Key,
    id: JobId,
    control: Rc<Control>,
    retry: Retry,
    has_stream: bool,
}

impl Follower {
    async fn run(mut self) {
        while let Some(awaited) = self.awaited() {
            let tried = match awaited {
                Awaited::Changes if self.has_stream => self.stream().await,
                Awaited::Changes => self.ask().await,
                Awaited::Outcome => self.fetch_outcome().await,
            };
            if let Err(error) = tried
                && !self.go_on_after(error).await
            {
                return;
            }
        }
        if self.control.is_wanted.get() {
            // Devices that were busy with it are not any more.
            self.store.load_workers().await;
        }
    }

    fn awaited(&self) -> Option<Awaited> {
        if !self.control.is_wanted.get() {
            return None;
        }
        self.store.peek(|state| state.awaited(self.id))
    }

    /// Waits as long as `error` asks for; false where going on has no use.
    async fn go_on_after(&mut self, error: CallError) -> bool {
        if !self.control.is_wanted.get() {
            return false;
        }
        match error {
            CallError::Unauthorized(_) => {
                self.store.refuse(error.words());
                return false;
            }
            CallError::Refused { status: 404, .. } => {
                let why = "The server does not know this job any more.";
                self.tell(JobEvent::Lost(why.to_owned()));
                return false;
            }
            CallError::Refused { .. } | CallError::Unreachable | CallError::NotUnderstood => {
                self.tell(JobEvent::Linked(Link::Broken));
                browser::sleep(self.retry.delay(browser::draw())).await;
            }
        }
        true
    }

    /// Reads the stream until it ends or breaks.
    async fn stream(&mut self) -> Result<(), CallError> {
        let bytes = match api::job_stream(self.caller(), self.id).await {
            Ok(bytes) => bytes,
            // An older server has none, a busy one has no room for another; both can be asked.
            Err(CallError::Refused { .. } | CallError::NotUnderstood) => {
                self.has_stream = false;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut parser = Parser::default();
        while let Some(chunk) = self.next_chunk(&bytes).await? {
            for message in parser.push(&chunk) {
                self.take_in(message)?;
            }
        }
        match self.awaited() {
            // It ended although the job has not.
            Some(Awaited::Changes) => Err(CallError::Unreachable),
            Some(Awaited::Outcome) | None => Ok(()),
        }
    }

    fn take_in(&mut self, message: Message) -> Result<(), CallError> {
        let into: fn(Members) -> JobEvent = match message.event.as_str() {
            SNAPSHOT_EVENT => JobEvent::Snapshot,
            CHANGE_EVENT => JobEvent::Changed,
            // A later server may tell more.
            _ => return Ok(()),
        };
        let members = serde_json::from_str(&message.data).map_err(|_| CallError::NotUnderstood)?;
        self.retry.succeeded();
        self.tell(into(members));
        self.tell(JobEvent::Linked(Link::Live));
        Ok(())
    }

    /// Asks once, and waits until it is time to ask again.
    async fn ask(&mut self) -> Result<(), CallError> {
        let members = api::job(self.caller(), self.id).await?;
        self.retry.succeeded();
        self.tell(JobEvent::Snapshot(members));
        self.tell(JobEvent::Linked(Link::Asking));
        if self.awaited() == Some(Awaited::Changes) {
            browser::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    async fn fetch_outcome(&mut self) -> Result<(), CallError> {
        let answer = api::job_with_result(self.caller(), self.id).await?;
        let read = self.store.peek(|state| {
            let job = state.job.as_ref().filter(|job| job.id == self.id)?;
            Some(Outcome::read(job.state.as_ref()?, &answer))
        });
        match read {
            Some(Ok(outcome)) => self.tell(JobEvent::Ended(Arc::new(outcome))),
            Some(Err(error)) => self.tell(JobEvent::Lost(format!("Done, but {error}."))),
            None => {}
        }
        Ok(())
    }

    fn caller(&self) -> Caller<'_> {
        Caller {
            key: &self.key,
            signal: self.control.begin_call(),
        }
    }

    /// The next bytes of a stream, which is broken if it is silent for too long.
    async fn next_chunk(&self, bytes: &Bytes) -> Result<Option<Vec<u8>>, CallError> {
        let control = Rc::clone(&self.control);
        let watch = set_timeout_with_handle(move || control.end_call(), LONGEST_SILENCE);
        let chunk = bytes.next().await;
        if let Ok(watch) = watch {
            watch.clear();
        }
        chunk.map_err(|_| CallError::Unreachable)
    }

    fn tell(&self, event: JobEvent) {
        self.store.apply(Event::Job {
            id: self.id,
            at: browser::now(),
            event,
        });
    }
}
