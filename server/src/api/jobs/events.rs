//! What happened to a sharded job, event by event (`HTTP_API` 9).
//!
//! Lives here: the question, the rendering of what the dispatching task remembers, and the few events
//! that can be told of a job that it has forgotten. Not here: what is remembered (`dispatch/journal`).

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use scheduler::Ending;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use shared::api::{
    ControlState, ExecutionModel, IsoTime, JobStatus, ReducerView, RunEnvelope, ShardConfig,
    ShardContext,
};
use shared::job::{JobSpec, RunJs};
use shared::plan::Sharding;
use shared::time::UnixMillis;
use shared::wire::ShardResult;

use super::collected;
use super::state::{self, Detail};
use crate::api::ApiError;
use crate::app::App;
use crate::auth::ApiClient;
use crate::dispatch::{Entry, Page, Shards, What, first_seq_after_restart};
use crate::shard_name::shard_name;
use crate::store::StoredJob;

/// Events in an answer that asks for no number, and at most.
const LIMITS: (usize, usize) = (64, 256);
/// Bytes of an event's result beyond which only its beginning is told.
const MAX_EVENT_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of the events in one answer; one event is always told.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Characters of a result that is too large.
const PREVIEW_CHARS: usize = 2000;

/// The question, as texts: what is no number means the default. Of several the last counts.
#[derive(Debug)]
struct EventsQuery(HashMap<String, String>);

impl EventsQuery {
    fn number<N: FromStr>(&self, name: &str) -> Option<N> {
        self.0.get(name).and_then(|text| text.parse().ok())
    }

    fn after(&self) -> u64 {
        self.number("after").unwrap_or(0)
    }

    fn limit(&self) -> usize {
        let limit = self.number("limit");
        limit
            .filter(|limit| *limit > 0)
            .unwrap_or(LIMITS.0)
            .min(LIMITS.1)
    }
}

/// The answer.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Events {
    job_id: String,
    status: JobStatus,
    control_state: ControlState,
    execution_model: ExecutionModel,
    shard_config: ShardConfig,
    reducer: Option<ReducerView>,
    events: Vec<Map<String, Value>>,
    has_more: bool,
    next_seq: u64,
    first_seq: u64,
    dropped_before_seq: u64,
}

/// `GET /api/jobs/<id>/events`
pub(crate) async fn events(
    State(app): State<App>,
    _: ApiClient,
    job: Result<Path<String>, PathRejection>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Events>, ApiError> {
    let job = super::job_id(job)?;
    let query = EventsQuery(query);
    let (after, limit) = (query.after(), query.limit());
    // In this order: what ended between two of them is known to the later ones.
    let live = app.dispatch.job(job).await?;
    let remembered = app.dispatch.events(job, after, limit).await?;
    let stored = app.store.job(job).await?.ok_or(ApiError::UnknownJob)?;
    let JobSpec::RunJs(run) = &stored.spec else {
        return Err(not_sharded());
    };
    let sharding = run.sharding().ok_or_else(not_sharded)?;
    let state = match &live {
        Some(live) => state::of_live(job, live),
        None => state::of_stored(&stored, Detail::WithoutResult),
    };
    let page = remembered.unwrap_or_else(|| forgotten(&stored));
    let teller = Teller {
        stored: &stored,
        run,
        sharding,
        collected: collected_by(&app, &stored, run, &page).await?,
    };
    let (events, has_more) = teller.tell(&page, after, limit);
    Ok(Json(Events {
        job_id: job.to_string(),
        status: state.status,
        control_state: state.control_state,
        execution_model: state.execution_model,
        shard_config: sharding.into(),
        reducer: run.reducer.as_ref().map(ReducerView::from),
        events,
        has_more,
        next_seq: page.next_seq,
        first_seq: page.first_seq,
        dropped_before_seq: page.first_seq.saturating_sub(1).saturating_sub(after),
    }))
}

/// What the event that tells of the end has to tell beside the state.
async fn collected_by(
    app: &App,
    stored: &StoredJob,
    run: &RunJs,
    page: &Page,
) -> Result<Option<String>, ApiError> {
    let is_end = |entry: &Entry| matches!(entry.what, What::Ended(Ending::Done));
    if !run.keeps_rows() || !page.entries.iter().any(is_end) {
        return Ok(None);
    }
    let rows = collected::Rows {
        store: Arc::clone(&app.store),
        job: stored.job,
        run: run.clone(),
    };
    Ok(rows.list(MAX_EVENT_BYTES).await?)
}

fn not_sharded() -> ApiError {
    ApiError::BadRequest("Live events are only available for sharded jobs.".into())
}

/// How a job began and ended, which is all that is known of one that is not in memory.
fn forgotten(stored: &StoredJob) -> Page {
    let started = Entry {
        seq: 1,
        at: stored.created_at,
        what: What::Started,
    };
    let last = first_seq_after_restart(stored.progress.completed, stored.progress.seq);
    let ended = state::ending(stored).map(|ending| Entry {
        seq: last,
        at: stored.updated_at,
        what: What::Ended(ending),
    });
    Page {
        next_seq: last + u64::from(ended.is_some()),
        entries: std::iter::once(started).chain(ended).collect(),
        first_seq: 1,
    }
}

/// Tells the events of one job.
struct Teller<'a> {
    stored: &'a StoredJob,
    run: &'a RunJs,
    sharding: Sharding,
    /// What the job has collected, as a JSON list; `None` where that is too large, or not told.
    collected: Option<String>,
}

impl Teller<'_> {
    /// The events after `after`, and whether there are more.
    fn tell(&self, page: &Page, after: u64, limit: usize) -> (Vec<Map<String, Value>>, bool) {
        let from = page.first_seq.max(after.saturating_add(1));
        let mut events = Vec::new();
        let mut bytes = 0;
        for entry in &page.entries {
            let first = from.saturating_sub(entry.seq).min(entry.count());
            let mut failed = entry.failed_before(first);
            for place in first..entry.count() {
                if events.len() == limit || (bytes > MAX_PAGE_BYTES && !events.is_empty()) {
                    return (events, true);
                }
                let (event, size) = self.event(entry, place, &mut failed);
                bytes += size;
                events.push(event);
            }
        }
        let last = events.last().and_then(|event| event["seq"].as_u64());
        let has_more = last.is_some_and(|last| last + 1 < page.next_seq);
        (events, has_more)
    }

    /// An event and its size in bytes, about. `failed` counts failed shards from event to event.
    fn event(&self, entry: &Entry, place: u64, failed: &mut u64) -> (Map<String, Value>, usize) {
        let mut event = Map::new();
        event.insert("seq".into(), (entry.seq + place).into());
        event.insert("ts".into(), iso(entry.at));
        let job = self.stored.job.to_string();
        let total = self.sharding.total_shards();
        let (body, result) = match &entry.what {
            What::Started => (self.started(), None),
            What::Shards(shards) => self.shard(shards, place, failed),
            What::Switched {
                is_paused,
                completed,
            } => {
                let kind = if *is_paused {
                    "job_paused"
                } else {
                    "job_resumed"
                };
                let body = json!({
                    "type": kind, "jobId": job, "completedShards": completed, "totalShards": total,
                });
                (body, None)
            }
            What::Ended(ending) => self.ended(*ending),
        };
        if let Value::Object(members) = body {
            event.extend(members);
        }
        let mut size = 512;
        if let Some(result) = result {
            size += result.get().len();
            insert_result(&mut event, &result);
        }
        (event, size)
    }

    fn started(&self) -> Value {
        json!({
            "type": "job_started", "jobId": self.stored.job.to_string(),
            "executionModel": "sharded", "totalShards": self.sharding.total_shards(),
            "shardConfig": ShardConfig::from(self.sharding),
            "reducer": self.run.reducer.as_ref().map(ReducerView::from),
            "args": serde_json::from_str::<Value>(&self.run.args).unwrap_or_default(),
        })
    }

    fn shard(
        &self,
        shards: &Shards,
        place: u64,
        failed: &mut u64,
    ) -> (Value, Option<Box<RawValue>>) {
        let here = usize::try_from(place).unwrap_or(usize::MAX);
        let Some((index, result)) = shards.results.get(here) else {
            return (Value::Null, None);
        };
        *failed += u64::from(!result.has_returned());
        let job = self.stored.job;
        let mut body = json!({
            "type": "shard_done", "parentJobId": job.to_string(),
            "childJobId": shard_name(job, *index).to_string(), "workerId": worker_of(shards, place),
            "shardIndex": index.0, "totalShards": self.sharding.total_shards(),
            "completedShards": shards.before.0 + place + 1,
            "failedShards": *failed,
        });
        if !result.has_returned() {
            body["type"] = "shard_failed".into();
            body["error"] = error_of(result).into();
            return (body, None);
        }
        body["shardContext"] = json!(ShardContext::new(job, self.sharding, *index));
        (body, Some(self.value_of(result)))
    }

    /// What was returned; the whole envelope where nothing was.
    fn value_of(&self, result: &ShardResult) -> Box<RawValue> {
        let value = result.value.clone().map(RawValue::from_string);
        match value {
            Some(Ok(value)) => value,
            Some(Err(_)) | None => {
                RunEnvelope::new(result, &self.run.args, self.run.timeout_ms).into()
            }
        }
    }

    fn ended(&self, ending: Ending) -> (Value, Option<Box<RawValue>>) {
        let mut state = state::of_stored(self.stored, Detail::Whole);
        let progress = &self.stored.progress;
        let mut body = json!({
            "jobId": self.stored.job.to_string(), "completedShards": progress.completed,
            "failedShards": progress.failed_shards, "totalShards": self.sharding.total_shards(),
        });
        let kind = match ending {
            Ending::Done => {
                body["type"] = "job_done".into();
                if self.run.keeps_rows() {
                    match &self.collected {
                        Some(list) => {
                            let result = state.result.as_deref();
                            state.result = result.map(|result| collected::filled(result, list));
                        }
                        None => body["payloadTruncated"] = true.into(),
                    }
                }
                return (body, state.result);
            }
            Ending::Failed => "job_failed",
            Ending::Cancelled => "job_cancelled",
        };
        body["type"] = kind.into();
        body["reason"] = state.error.into();
        (body, None)
    }
}

fn worker_of(shards: &Shards, place: u64) -> Option<&str> {
    let mut end = 0;
    let own = shards.by.iter().find(|(_, count)| {
        end += count;
        place < end
    });
    own.map(|(worker, _)| worker.as_str())
}

fn error_of(result: &ShardResult) -> String {
    result.error_message().map_or_else(
        || format!("exit code {}", result.status.exit_code()),
        str::to_owned,
    )
}

fn iso(at: UnixMillis) -> Value {
    serde_json::to_value(IsoTime(at)).unwrap_or_default()
}

/// Puts a result in whole, or its beginning where it is too large.
fn insert_result(event: &mut Map<String, Value>, result: &RawValue) {
    let text = result.get();
    let value = if text.len() > MAX_EVENT_BYTES {
        event.insert("payloadTruncated".into(), true.into());
        let preview: String = text.chars().take(PREVIEW_CHARS).collect();
        json!({"truncated": true, "totalSerializedBytes": text.len(), "preview": preview})
    } else {
        serde_json::from_str(text).unwrap_or_default()
    };
    event.insert("result".into(), value);
}
