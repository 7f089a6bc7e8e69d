//! What a job has collected, put where it belongs: streamed into its state however large it is, and into
//! the last of its events where it is small.

use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::value::RawValue;
use shared::api::{JobState, RunEnvelope};
use shared::ids::{JobId, ShardIndex};
use shared::job::RunJs;
use shared::wire::ShardResult;

use crate::store::{Store, StoreError};

/// Where the rows go. No text inside the state looks like it: quotes in texts are escaped.
const PLACE: &str = r#""aggregate":[]"#;

/// The rows of a job, read page by page.
pub(super) struct Rows {
    pub(super) store: Arc<dyn Store>,
    pub(super) job: JobId,
    pub(super) run: RunJs,
}

/// The state, whose result has no rows, with the rows in their place.
pub(super) fn respond(state: &JobState, rows: Rows) -> Response {
    let text = serde_json::to_string(state).expect("a state has no unserialisable part");
    let Some((before, after)) = text.split_once(PLACE) else {
        return ([(header::CONTENT_TYPE, JSON)], text).into_response();
    };
    let before = format!("{before}{}", PLACE.trim_end_matches(']'));
    let after = format!("]{after}");
    let body = once(before).chain(rows.into_json()).chain(once(after));
    ([(header::CONTENT_TYPE, JSON)], Body::from_stream(body)).into_response()
}

const JSON: &str = "application/json";

fn once(text: String) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::once(std::future::ready(Ok(text.into())))
}

/// The result of a job, which has no rows, with those of a list in their place.
pub(super) fn filled(result: &RawValue, list: &str) -> Box<RawValue> {
    let filled = PLACE.replace("[]", list);
    let text = result.get().replacen(PLACE, &filled, 1);
    RawValue::from_string(text).expect("a list is where another was")
}

impl Rows {
    /// All rows as a JSON list; `None` where it would be longer than `max` bytes.
    pub(super) async fn list(self, max: usize) -> Result<Option<String>, StoreError> {
        let mut text = b"[".to_vec();
        let mut pages = pin!(self.into_json());
        while let Some(page) = pages.try_next().await? {
            text.extend_from_slice(&page);
            if text.len() >= max {
                return Ok(None);
            }
        }
        text.push(b']');
        Ok(Some(String::from_utf8(text).expect("JSON is UTF-8")))
    }

    /// The rows in order of their shards, with commas between them. Ends with an error, and thereby
    /// the connection, where the store can no longer be read: half a result must not look whole.
    fn into_json(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        stream::try_unfold((self, Some(ShardIndex(0))), async |(rows, from)| {
            let Some(from) = from else {
                return Ok(None);
            };
            let page = rows.store.rows(rows.job, from).await?;
            let Some((last, _)) = page.last() else {
                return Ok(None);
            };
            let next = last.0.checked_add(1).map(ShardIndex);
            let text = rows.page_json(&page, from == ShardIndex(0));
            Ok(Some((text.into(), (rows, next))))
        })
    }

    fn page_json(&self, page: &[(ShardIndex, ShardResult)], is_first: bool) -> Vec<u8> {
        let mut text = Vec::new();
        for (place, (_, result)) in page.iter().enumerate() {
            if place > 0 || !is_first {
                text.push(b',');
            }
            let envelope = RunEnvelope::new(result, &self.run.args, self.run.timeout_ms);
            serde_json::to_writer(&mut text, &envelope).expect("memory can be written");
        }
        text
    }
}
