//! The attempts that a worker holds, by the leaf they came in.
//!
//! An attempt is waiting, running or finished, and leaves when the server disposes of its result or
//! takes it away, or when it is given back. A leaf is forgotten with its last attempt.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::envelope::{Assignment, Contents, LeafJob, Run, StartError};
use crate::ids::{AttemptId, Digest32, JobId, Nonce};
use crate::limits::MIN_FRAME_BYTES;
use crate::sorted_map::SortedMap;
use crate::time::{Millis, UnixMillis};
use crate::wire::{
    self, AttemptRange, Held, ResultBatch, ResultRow, ResultStatus, ShardResult, SignedLeaf, Stage,
};

/// Bytes of a frame that are kept free for everything but rows.
const FRAME_SLACK: usize = 64;
/// Bytes that a row takes beside its texts, at most.
const ROW_SLACK: usize = 64;

#[derive(Debug, Clone)]
enum Attempt {
    Waiting,
    Running,
    Finished { result: ShardResult, is_sent: bool },
    Gone,
}

#[derive(Debug)]
struct Batch {
    assignment: Assignment,
    attempts: Vec<Attempt>,
    held: usize,
}

/// How many attempts are in which stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) queued: usize,
    pub(super) running: usize,
    pub(super) finished: usize,
}

/// What was forgotten.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    pub(super) running: Vec<AttemptId>,
    pub(super) finished: usize,
}

/// What a stretch of work was made of, to tell how long a shard takes.
#[derive(Debug, Clone, Copy)]
struct Pace {
    since: Millis,
    finished: u32,
    run_us: u64,
}

#[derive(Debug, Default)]
pub(super) struct Batches {
    by_nonce: SortedMap<Nonce, Batch>,
    /// Leaves with waiting attempts, oldest first.
    queue: VecDeque<Nonce>,
    counts: Counts,
    finished_bytes: usize,
    unsent: VecDeque<AttemptId>,
    must_resend: bool,
    pace: Option<Pace>,
}

impl Batches {
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) const fn finished_bytes(&self) -> usize {
        self.finished_bytes
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    pub(super) const fn must_resend(&self) -> bool {
        self.must_resend
    }

    /// The shortest time from signing to expiry among the leaves held, in milliseconds.
    pub(super) fn lifetime_ms(&self) -> Option<u64> {
        self.by_nonce
            .values()
            .map(|batch| batch.assignment.lifetime_ms())
            .min()
    }

    pub(super) fn needs(&self, hash: Digest32) -> bool {
        self.by_nonce
            .values()
            .any(|batch| batch.assignment.contents().any(|it| it == hash))
    }

    pub(super) fn insert(&mut self, assignment: Assignment, now: Millis) {
        let nonce = assignment.nonce();
        let attempts: Vec<Attempt> = assignment.waiting().map(|_| Attempt::Waiting).collect();
        let held = attempts.len();
        if self.counts.queued + self.counts.running == 0 {
            self.pace = Some(Pace {
                since: now,
                finished: 0,
                run_us: 0,
            });
        }
        self.counts.queued += held;
        self.by_nonce.insert(
            nonce,
            Batch {
                assignment,
                attempts,
                held,
            },
        );
        self.queue.push_back(nonce);
    }

    /// The oldest leaf with a waiting attempt whose code and args are known.
    pub(super) fn next_ready(&mut self, contents: &Contents) -> Option<Nonce> {
        let by_nonce = &self.by_nonce;
        self.queue.retain(|nonce| {
            by_nonce
                .get(*nonce)
                .is_some_and(|batch| !batch.assignment.is_empty())
        });
        self.queue.iter().copied().find(|nonce| {
            self.by_nonce.get(*nonce).is_some_and(|batch| {
                let mut needed = batch.assignment.contents();
                needed.all(|hash| contents.get(hash).is_some())
            })
        })
    }

    /// The job whose turn it is.
    pub(super) fn next_job(&mut self, contents: &Contents) -> Option<&LeafJob> {
        let nonce = self.next_ready(contents)?;
        self.by_nonce.get(nonce)?.assignment.next_job()
    }

    pub(super) fn start(
        &mut self,
        nonce: Nonce,
        most: usize,
        now: UnixMillis,
        contents: &Contents,
    ) -> Result<Run, StartError> {
        let batch = self.by_nonce.get_mut(nonce).ok_or(StartError::Empty)?;
        let run = batch.assignment.start(most, now, contents)?;
        for shard in run.shards() {
            batch.attempts[shard.attempt.index as usize] = Attempt::Running;
        }
        self.counts.queued -= run.shards().len();
        self.counts.running += run.shards().len();
        Ok(run)
    }

    /// Takes a result in; one of an attempt that is not running is dropped.
    pub(super) fn finish(&mut self, attempt: AttemptId, result: ShardResult) {
        let place = self
            .by_nonce
            .get_mut(attempt.nonce)
            .and_then(|batch| batch.attempts.get_mut(attempt.index as usize))
            .filter(|place| matches!(place, Attempt::Running));
        let Some(place) = place else {
            return;
        };
        if let Some(pace) = &mut self.pace {
            pace.finished += 1;
            pace.run_us = pace.run_us.saturating_add(result.duration_us);
        }
        self.counts.running -= 1;
        self.counts.finished += 1;
        self.finished_bytes += size_of_result(&result);
        *place = Attempt::Finished {
            result,
            is_sent: false,
        };
        self.unsent.push_back(attempt);
    }

    /// Microseconds that a shard has taken one of `slots` since this was last asked, by run time
    /// or by what came out, whichever is longer; `None` where nothing finished.
    pub(super) fn take_pace(&mut self, now: Millis, slots: u16) -> Option<f64> {
        let is_idle = self.counts.queued + self.counts.running == 0;
        let pace = self.pace.take()?;
        self.pace = (!is_idle).then_some(Pace {
            since: now,
            finished: 0,
            run_us: 0,
        });
        if pace.finished == 0 {
            self.pace = self.pace.map(|_| pace);
            return None;
        }
        let wall_us = now.since(pace.since) as f64 * 1000.0 * f64::from(slots);
        Some((pace.run_us as f64).max(wall_us) / f64::from(pace.finished))
    }

    /// Results for one frame of at most `max_bytes`; they count as sent. `None` where all are.
    pub(super) fn unsent_frame(&mut self, max_bytes: usize) -> Option<Vec<ResultBatch>> {
        self.must_resend = false;
        let mut frame: Vec<ResultBatch> = Vec::new();
        let mut bytes = FRAME_SLACK;
        while let Some(attempt) = self.unsent.front().copied() {
            let Some(result) = self.unsent_result(attempt) else {
                self.unsent.pop_front();
                continue;
            };
            let result = fitting(result, max_bytes);
            bytes += size_of_result(&result);
            if bytes > max_bytes && !frame.is_empty() {
                break;
            }
            let row = ResultRow {
                index: attempt.index,
                result: result.into_owned(),
            };
            self.mark_sent(attempt);
            self.unsent.pop_front();
            match frame
                .last_mut()
                .filter(|batch| batch.nonce == attempt.nonce)
            {
                Some(batch) => batch.rows.push(row),
                None => frame.push(ResultBatch {
                    nonce: attempt.nonce,
                    rows: vec![row],
                }),
            }
        }
        (!frame.is_empty()).then_some(frame)
    }

    fn unsent_result(&self, attempt: AttemptId) -> Option<&ShardResult> {
        match self
            .by_nonce
            .get(attempt.nonce)?
            .attempts
            .get(attempt.index as usize)?
        {
            Attempt::Finished {
                result,
                is_sent: false,
            } => Some(result),
            Attempt::Finished { is_sent: true, .. }
            | Attempt::Waiting
            | Attempt::Running
            | Attempt::Gone => None,
        }
    }

    fn mark_sent(&mut self, attempt: AttemptId) {
        let place = self
            .by_nonce
            .get_mut(attempt.nonce)
            .and_then(|batch| batch.attempts.get_mut(attempt.index as usize));
        if let Some(Attempt::Finished { is_sent, .. }) = place {
            *is_sent = true;
        }
    }

    /// Sends every result again that is still here: the connection they went over is gone.
    pub(super) fn resend_finished(&mut self) {
        self.unsent.clear();
        for (nonce, batch) in self.by_nonce.iter_mut() {
            for (attempt, index) in batch.attempts.iter_mut().zip(0..) {
                if let Attempt::Finished { is_sent, .. } = attempt {
                    *is_sent = false;
                    self.unsent.push_back(AttemptId { nonce, index });
                }
            }
        }
        self.must_resend = !self.unsent.is_empty();
    }

    /// Everything held in the stages that `filter` lets through.
    pub(super) fn held(&self, filter: impl Fn(Stage) -> bool) -> Vec<Held> {
        let mut held: Vec<Held> = Vec::new();
        for (nonce, batch) in self.by_nonce.iter() {
            for (attempt, index) in batch.attempts.iter().zip(0..) {
                let Some(stage) = attempt.stage().filter(|stage| filter(*stage)) else {
                    continue;
                };
                match held.last_mut() {
                    Some(last)
                        if last.stage == stage
                            && last.range.nonce == nonce
                            && last.range.indices().end == index =>
                    {
                        last.range.count += 1;
                    }
                    _ => held.push(Held {
                        range: AttemptRange::one(AttemptId { nonce, index }),
                        stage,
                    }),
                }
            }
        }
        held
    }

    pub(super) fn ticket(&self, nonce: Nonce) -> Option<SignedLeaf> {
        self.by_nonce
            .get(nonce)
            .map(|batch| batch.assignment.ticket().clone())
    }

    pub(super) fn running(&self) -> Vec<AttemptId> {
        self.held(|stage| matches!(stage, Stage::Running))
            .into_iter()
            .flat_map(|held| held.range.attempts())
            .collect()
    }

    pub(super) fn running_of(&self, job: JobId) -> Vec<AttemptId> {
        let mut running = self.running();
        running.retain(|attempt| {
            let batch = self.by_nonce.get(attempt.nonce);
            batch.and_then(|batch| batch.assignment.job_of(attempt.index)) == Some(job)
        });
        running
    }

    /// Takes the waiting attempts of a leaf out whose job `is_meant`.
    pub(super) fn withdraw_waiting(
        &mut self,
        nonce: Nonce,
        is_meant: impl Fn(JobId) -> bool,
    ) -> Vec<AttemptId> {
        let Some(batch) = self.by_nonce.get(nonce) else {
            return Vec::new();
        };
        let meant: Vec<AttemptId> = batch
            .assignment
            .waiting_jobs()
            .filter(|(_, job)| is_meant(*job))
            .map(|(attempt, _)| attempt)
            .collect();
        for range in wire::to_ranges(meant.iter().copied()) {
            self.forget(range);
        }
        meant
    }

    pub(super) fn withdraw_all_waiting(&mut self) -> Vec<AttemptId> {
        self.withdraw_everywhere(|_| true, |_| true)
    }

    pub(super) fn withdraw_job(&mut self, job: JobId) -> Vec<AttemptId> {
        self.withdraw_everywhere(|_| true, |it| it == job)
    }

    pub(super) fn withdraw_needing(&mut self, hash: Digest32) -> Vec<AttemptId> {
        self.withdraw_everywhere(
            |assignment| assignment.contents().any(|it| it == hash),
            |_| true,
        )
    }

    fn withdraw_everywhere(
        &mut self,
        is_meant: impl Fn(&Assignment) -> bool,
        is_meant_job: impl Fn(JobId) -> bool,
    ) -> Vec<AttemptId> {
        let nonces: Vec<Nonce> = self
            .by_nonce
            .iter()
            .filter(|(_, batch)| is_meant(&batch.assignment))
            .map(|(nonce, _)| nonce)
            .collect();
        nonces
            .into_iter()
            .flat_map(|nonce| self.withdraw_waiting(nonce, &is_meant_job))
            .collect()
    }

    /// Forgets attempts, in whatever stage they are; unknown ones are passed over.
    pub(super) fn forget(&mut self, range: AttemptRange) -> Forgotten {
        let mut forgotten = Forgotten::default();
        let Some(batch) = self.by_nonce.get_mut(range.nonce) else {
            return forgotten;
        };
        let end = range.indices().end.min(batch.attempts.len() as u32);
        for index in range.first..end {
            let attempt = AttemptId {
                nonce: range.nonce,
                index,
            };
            match std::mem::replace(&mut batch.attempts[index as usize], Attempt::Gone) {
                Attempt::Waiting => {
                    batch.assignment.withdraw(index);
                    self.counts.queued -= 1;
                }
                Attempt::Running => {
                    self.counts.running -= 1;
                    forgotten.running.push(attempt);
                }
                Attempt::Finished { result, .. } => {
                    self.counts.finished -= 1;
                    self.finished_bytes -= size_of_result(&result);
                    forgotten.finished += 1;
                }
                Attempt::Gone => continue,
            }
            batch.held -= 1;
        }
        if batch.held == 0 {
            self.by_nonce.remove(range.nonce);
        }
        forgotten
    }
}

impl Attempt {
    const fn stage(&self) -> Option<Stage> {
        match self {
            Self::Waiting => Some(Stage::Queued),
            Self::Running => Some(Stage::Running),
            Self::Finished { .. } => Some(Stage::Finished),
            Self::Gone => None,
        }
    }
}

/// The result, or one that says that no frame holds it: the server closes on longer frames, and
/// would again each time it was sent.
fn fitting(result: &ShardResult, max_bytes: usize) -> Cow<'_, ShardResult> {
    if FRAME_SLACK + size_of_result(result) <= max_bytes.max(MIN_FRAME_BYTES) {
        return Cow::Borrowed(result);
    }
    let text = format!("the result is larger than a frame of {max_bytes} bytes");
    let status = ResultStatus::ExecutorFailed;
    Cow::Owned(ShardResult::failed(status, result.duration_us, text))
}

fn size_of_result(result: &ShardResult) -> usize {
    let details = result.details.as_deref().map_or(0, |details| {
        let error = details.error.as_ref().map_or(0, |error| {
            error.message.len() + error.stack.as_ref().map_or(0, String::len)
        });
        let lines = details
            .notes
            .iter()
            .chain(&details.logs)
            .map(|line| line.len() + 8);
        error + lines.sum::<usize>()
    });
    ROW_SLACK + details + result.value.as_ref().map_or(0, String::len)
}
