//! What came out of a job that is done.
//!
//! A collected result can be a gigabyte; of that only the first rows are read, from the beginning
//! of the answer, which may be cut anywhere.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shared::api::{JobState, ReducedResult, ReducerView, RunEnvelope, TaskView};

/// Rows of a collected result that are kept.
pub const MAX_ROWS: usize = 100;

/// A result.
#[derive(Debug)]
pub enum Outcome {
    /// Of `add`: an integer as text.
    Sum(String),
    /// Of a single run.
    Run(Box<RunEnvelope>),
    /// Of a sharded job that adds up or compares.
    Reduced(ReducedResult),
    /// Of a sharded job that collects.
    Collected(Collected),
}

/// The first results of a job that collects.
#[derive(Debug)]
pub struct Collected {
    /// In the order of the shards, [`MAX_ROWS`] at most.
    pub rows: Vec<RunEnvelope>,
    /// All results.
    pub total: u64,
}

/// The answer holds no result of the kind that the job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the result cannot be shown here; download it instead")]
pub struct NotReadable;

impl Outcome {
    /// The result of a job that is done. `state` is its state; `answer` is `GET /api/jobs/:id`, or
    /// the beginning of it where it is very long. O(n) in the answer.
    ///
    /// # Errors
    /// [`NotReadable`] where the answer is of another shape, or cut before its end although
    /// nothing was collected.
    pub fn read(state: &JobState, answer: &[u8]) -> Result<Self, NotReadable> {
        let answer = whole_characters(answer);
        if let Some(total) = collected_by(&state.task) {
            return first_rows(answer, total).map(Self::Collected);
        }
        let done: JobState = serde_json::from_str(answer).map_err(|_| NotReadable)?;
        let read = match &done.task {
            TaskView::Add { .. } => done
                .result
                .as_ref()
                .map(|sum| Self::Sum(sum.get().to_owned())),
            TaskView::RunJs(task) if task.shards.is_some() => done.reduced().map(Self::Reduced),
            TaskView::RunJs(_) => done.envelope().map(|run| Self::Run(Box::new(run))),
        };
        read.ok_or(NotReadable)
    }
}

/// The number of results, if the job collects them.
fn collected_by(task: &TaskView) -> Option<u64> {
    match task {
        TaskView::RunJs(task) if task.reducer == Some(ReducerView::Collect) => {
            task.shards.map(|shards| shards.completed)
        }
        TaskView::RunJs(_) | TaskView::Add { .. } => None,
    }
}

/// The bytes as text, without a character that was cut at the end.
fn whole_characters(bytes: &[u8]) -> &str {
    let valid = bytes.utf8_chunks().next();
    valid.map_or("", |chunk| chunk.valid())
}

fn first_rows(answer: &str, total: u64) -> Result<Collected, NotReadable> {
    let mut rows = Vec::new();
    let at_rows = At {
        path: &["result", "aggregate"],
        rows: &mut rows,
    };
    let read = at_rows.deserialize(&mut serde_json::Deserializer::from_str(answer));
    match read {
        Err(error) if !error.is_eof() => Err(NotReadable),
        Ok(()) | Err(_) => Ok(Collected { rows, total }),
    }
}

/// Reads the rows that lie at `path`, and passes over everything else.
struct At<'a> {
    path: &'static [&'static str],
    rows: &'a mut Vec<RunEnvelope>,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            deserializer.deserialize_seq(self)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("collected results")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let (name, rest) = self
            .path
            .split_first()
            .ok_or_else(|| A::Error::custom("a list was expected"))?;
        while let Some(member) = members.next_key::<String>()? {
            if member == *name {
                let rows = &mut *self.rows;
                members.next_value_seed(At { path: rest, rows })?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while self.rows.len() < MAX_ROWS
            && let Some(row) = rows.next_element()?
        {
            self.rows.push(row);
        }
        while rows.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn envelope(value: u64) -> Value {
        json!({
            "ok": true, "exitCode": 0, "durationMs": 1, "returnType": "number",
            "returnValue": value, "argsType": "object", "logs": [],
            "output": {"text": "", "truncated": false, "bytes": 0},
            "error": null, "notes": [],
        })
    }

    fn done(reducer: Option<Value>, result: Value) -> Value {
        let mut task = json!({
            "op": "run_js", "executionModel": "single", "controlState": "running",
            "timeoutMs": 0, "codeBytes": 8, "hasArgs": true, "seed": "7", "random": "seeded",
        });
        if let Some(reducer) = reducer {
            task["reducer"] = reducer;
            task["shards"] = json!({"total": 1000, "completed": 1000, "failed": 0});
        }
        json!({
            "jobId": "0b1e0000-0000-4000-8000-000000000001", "status": "done",
            "controlState": "running", "executionModel": "single", "task": task,
            "result": result, "error": null,
        })
    }

    fn collected() -> Value {
        let rows: Vec<_> = (0..1000).map(envelope).collect();
        let result = json!({
            "reducer": {"type": "collect"}, "aggregate": rows,
            "completedShards": 1000, "totalShards": 1000,
        });
        done(Some(json!({"type": "collect"})), result)
    }

    fn read(answer: &Value, length: usize) -> Result<Outcome, NotReadable> {
        let state = serde_json::from_value(answer.clone()).unwrap();
        let text = answer.to_string();
        Outcome::read(&state, &text.as_bytes()[..length.min(text.len())])
    }

    fn rows(length: usize) -> Collected {
        let Ok(Outcome::Collected(collected)) = read(&collected(), length) else {
            panic!("a collected result is read as one");
        };
        collected
    }

    #[test]
    fn each_kind_of_job_has_its_kind_of_result() {
        let mut sum = done(None, json!(-42));
        sum["task"] = json!({"op": "add", "a": -2, "b": -40});
        assert!(matches!(read(&sum, usize::MAX), Ok(Outcome::Sum(text)) if text == "-42"));
        let run = done(None, envelope(5));
        assert!(matches!(read(&run, usize::MAX), Ok(Outcome::Run(run)) if run.ok));
        let least = json!({"type": "min", "field": "x"});
        let reduced = json!({
            "reducer": least, "aggregate": {"value": 0.5},
            "completedShards": 1000, "totalShards": 1000,
        });
        let reduced = done(Some(least), reduced);
        assert!(matches!(
            read(&reduced, usize::MAX),
            Ok(Outcome::Reduced(result)) if result.aggregate.number("value") == Some(0.5)
        ));
    }

    #[test]
    fn of_collected_results_the_first_are_kept() {
        let collected = rows(usize::MAX);
        assert_eq!((collected.rows.len(), collected.total), (MAX_ROWS, 1000));
        let last = collected.rows.last().unwrap().return_value.as_ref();
        assert_eq!(last.unwrap().get(), "99");
    }

    #[test]
    fn an_answer_may_be_cut_anywhere() {
        let whole = collected().to_string();
        let start = whole.find("\"aggregate\":[").unwrap() + "\"aggregate\":[".len();
        let row = envelope(0).to_string().len() + 1;
        assert_eq!(rows(start - 5).rows.len(), 0);
        assert_eq!(rows(start + row / 2).rows.len(), 0);
        assert_eq!(rows(start + row * 3 / 2).rows.len(), 1);
        assert_eq!(rows(start + row * 5).rows.len(), 5);
        assert_eq!(rows(whole.len() - 1).rows.len(), MAX_ROWS);
    }

    #[test]
    fn a_result_of_another_shape_is_not_readable() {
        let mut odd = collected();
        odd["result"]["aggregate"] = json!({"value": 1});
        assert_eq!(read(&odd, usize::MAX).unwrap_err(), NotReadable);
        assert_eq!(
            read(&done(None, json!(null)), usize::MAX).unwrap_err(),
            NotReadable
        );
        assert_eq!(read(&done(None, envelope(1)), 40).unwrap_err(), NotReadable);
    }
}
