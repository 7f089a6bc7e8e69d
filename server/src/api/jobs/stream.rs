//! A job's state as it changes, as Server-Sent Events (WHATWG HTML, 9.2).
//!
//! The first event is a snapshot, each later one the members that changed. Results are never part
//! of it, for they may be large: who wants one fetches the job once it has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use shared::api::{CHANGE_EVENT, JobState, Members, SNAPSHOT_EVENT};
use shared::ids::JobId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::api::ApiError;
use crate::app::App;
use crate::auth::ApiClient;
use crate::dispatch::{Overloaded, Watch};

/// Streams that may be open at the same time.
const MAX_STREAMS: usize = 1024;
/// Time between two events at least.
const PACE: Duration = Duration::from_millis(100);
/// Time between comments, by which proxies see that a silent connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Room for streams.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

impl Streams {
    /// Room for one more, until it is dropped.
    fn open(&self) -> Result<OwnedSemaphorePermit, Overloaded> {
        let room = Arc::clone(&self.0).try_acquire_owned();
        room.map_err(|_| Overloaded::Streams)
    }
}

/// `GET /api/jobs/<id>/stream`
pub(crate) async fn stream(
    State(app): State<App>,
    _: ApiClient,
    job: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let job = super::job_id(job)?;
    let room = app.streams.open()?;
    // Watched before it is looked at, so that no change falls between.
    let watch = app.dispatch.watch(job).await?;
    let state = super::progress(&app, job).await?;
    let follower = Follower {
        app,
        job,
        watch,
        told: None,
        current: Some(state),
        paced: Instant::now() + PACE,
        _room: room,
    };
    let events = stream::unfold(follower, Follower::next);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(keep_alive)).into_response())
}

/// One client that follows a job.
struct Follower {
    app: App,
    job: JobId,
    /// `None` for a job that had ended before.
    watch: Option<Watch>,
    /// What the client knows; `None` before the snapshot.
    told: Option<Members>,
    /// What it is to be told; `None` where the job has to change first.
    current: Option<JobState>,
    /// When the job may be looked at again, whether or not that gives an event.
    paced: Instant,
    _room: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` after the one that says how the job ended, or where there is no more
    /// to learn because the server stops.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let state = match self.current.take() {
                Some(state) => state,
                None => self.changed_state().await?,
            };
            if state.status.is_final() {
                self.watch = None;
            }
            if let Some(event) = self.event(&state) {
                return Some((Ok(event), self));
            }
        }
    }

    async fn changed_state(&mut self) -> Option<JobState> {
        let watch = self.watch.as_mut()?;
        tokio::time::sleep_until(self.paced).await;
        let has_ended = watch.changed().await.is_err();
        self.paced = Instant::now() + PACE;
        let state = super::progress(&self.app, self.job).await;
        let state = state.ok()?;
        (state.status.is_final() || !has_ended).then_some(state)
    }

    fn event(&mut self, state: &JobState) -> Option<Event> {
        let members = Members::of(state);
        let (name, told) = match &self.told {
            None => (SNAPSHOT_EVENT, Some(members.clone())),
            Some(before) => (CHANGE_EVENT, members.since(before)),
        };
        self.told = Some(members);
        let event = Event::default().event(name).json_data(told?);
        Some(event.expect("members are JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_streams_are_open_at_the_same_time_and_no_more() {
        let streams = Streams::default();
        let mut open: Vec<_> = (0..MAX_STREAMS).map(|_| streams.open().unwrap()).collect();
        assert_eq!(streams.open().unwrap_err(), Overloaded::Streams);
        open.pop();
        assert!(streams.open().is_ok());
    }
}
