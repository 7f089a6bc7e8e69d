//! Carrying the scheduler's effects out: leaves to the signer, frames to sockets, deltas to the
//! store.

use std::sync::Arc;
use std::time::Instant;

use scheduler::{Delta, Effect, JobAssignment, JobOutline, Scheduler, WorkerView};
use shared::envelope::{AssignLeaf, Leaf, LeafJob, TimeLeaf};
use shared::ids::{Digest32, JobId, Nonce, SessionId};
use shared::job::JobSpec;
use shared::limits::INLINE_CONTENT_BYTES;
use shared::wire::{self, ByeReason, ProtocolVersion, ToWorker};
use tokio::sync::mpsc;

use super::books::Books;
use super::books::Look;
use super::catalog::{Catalog, ReadyJob};
use super::journal::{Journal, Page, first_seq_after_restart};
use super::letters::{Join, session_ended};
use super::sessions::{LiveWorker, Sessions};
use super::tally::Moment;
use super::task::Commit;
use super::watchers::{Watch, Watchers};
use super::{Dismissed, DispatchParts};
use crate::clock::Clock;
use crate::instruments::Instruments;
use crate::orders::Orders;
use crate::signer::Signer;
use crate::store::{EndedJobs, SessionOrder, Store};

pub(super) struct Shell {
    signed_ttl_ms: u64,
    clock: Clock,
    store: Arc<dyn Store>,
    signer: Signer,
    orders: Arc<Orders>,
    instruments: Arc<Instruments>,
    commits: mpsc::UnboundedSender<Commit>,
    catalog: Catalog,
    sessions: Sessions,
    watchers: Watchers,
    books: Books,
    journal: Journal,
}

impl Shell {
    pub(super) fn new(
        parts: DispatchParts,
        commits: mpsc::UnboundedSender<Commit>,
        ended: EndedJobs,
    ) -> Self {
        Self {
            signed_ttl_ms: parts.signed_ttl_ms,
            clock: parts.clock,
            store: parts.store,
            signer: parts.signer,
            orders: parts.orders,
            instruments: parts.instruments,
            commits,
            catalog: Catalog::default(),
            sessions: Sessions::default(),
            watchers: Watchers::default(),
            books: Books::open(ended, parts.retention),
            journal: Journal::new(parts.events),
        }
    }

    pub(super) fn add_job(&mut self, job: ReadyJob) -> JobOutline {
        let (id, task) = (job.outline.job, (&*job.spec).into());
        self.books.began(id, task, job.spec.plan(), job.times);
        let outline = self.catalog.add(job);
        self.open_journal(&outline);
        outline
    }

    /// Only sharded jobs have events.
    fn open_journal(&mut self, outline: &JobOutline) {
        if outline.reducer.is_none() {
            return;
        }
        if outline.reclaim {
            let completed = u64::try_from(outline.completed.len()).unwrap_or(u64::MAX);
            let next_seq = first_seq_after_restart(completed, outline.seq);
            let failed = outline.failed_shards;
            self.journal
                .resume(outline.job, next_seq, completed, failed);
        } else {
            self.journal.start(outline.job, self.clock.wall());
        }
    }

    pub(super) fn events(&self, job: JobId, after: u64, limit: usize) -> Option<Page> {
        self.journal.page(job, after, limit)
    }

    pub(super) fn spec(&self, job: JobId) -> Option<Arc<JobSpec>> {
        self.catalog.spec(job)
    }

    pub(super) fn content(&self, hash: Digest32) -> Option<Arc<str>> {
        self.catalog.content(hash)
    }

    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.catalog.jobs()
    }

    pub(super) fn watch(&mut self, job: JobId) -> Watch {
        self.watchers.watch(job)
    }

    pub(super) fn worker_rows(&self, views: &[WorkerView]) -> Vec<LiveWorker> {
        self.sessions.rows(views, self.clock.mono())
    }

    pub(super) fn look(&mut self, scheduler: &Scheduler) -> Arc<Look> {
        let now = self.now();
        self.books.look(scheduler, &self.sessions, now)
    }

    fn now(&self) -> Moment {
        Moment {
            mono: self.clock.mono(),
            wall: self.clock.wall(),
            running: self.clock.running(),
        }
    }

    pub(super) fn has_workers(&self) -> bool {
        self.sessions.has_sockets()
    }

    pub(super) fn attach(&mut self, join: Join) {
        let was_deserted = !self.has_workers();
        let now = self.now();
        let (worker, slots, device) = (join.worker.clone(), join.slots, Arc::clone(&join.device));
        let has_replaced = self.sessions.attach(join, now.mono);
        let tally = &mut self.books.tally;
        tally.connected(&worker, slots, device, now);
        if has_replaced {
            tally.disconnected(&worker, now);
        }
        if was_deserted {
            self.watchers.all_changed();
        }
    }

    /// Why a worker that was let in is not wanted any more: it was ordered in between.
    pub(super) fn objection(&self, join: &Join) -> Option<ByeReason> {
        let whom = if self.orders.is_banned(join.secret) {
            Dismissed::Profile(join.secret)
        } else if self.orders.is_revoked(&join.invite) {
            Dismissed::Invite(join.invite.clone())
        } else if self.orders.about(join.session) == Some(SessionOrder::End) {
            Dismissed::Session(join.session)
        } else {
            return None;
        };
        Some(whom.reason())
    }

    pub(super) fn is_draining(&self, session: SessionId) -> bool {
        self.orders.about(session) == Some(SessionOrder::Drain)
    }

    pub(super) fn dismiss(&self, whom: &Dismissed) -> Vec<(SessionId, bool)> {
        self.sessions.dismiss(whom)
    }

    pub(super) fn hear(&mut self, session: SessionId, connection: u64) -> bool {
        self.sessions.hear(session, connection, self.clock.mono())
    }

    pub(super) fn detach(&mut self, session: SessionId, connection: u64) -> bool {
        let now = self.now();
        let is_own = self.sessions.detach(session, connection, now.mono);
        if is_own && let Some(worker) = self.sessions.worker(session) {
            self.books.tally.disconnected(worker, now);
        }
        if is_own && !self.has_workers() {
            self.watchers.all_changed();
        }
        is_own
    }

    pub(super) fn dismiss_all(&mut self) {
        self.sessions.dismiss_all();
        self.watchers.close();
    }

    pub(super) async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Welcome { session, unknown } => self.welcome(session, unknown).await,
            Effect::Assign {
                session,
                nonce,
                jobs,
            } => self.assign(session, nonce, jobs).await,
            Effect::Persist(delta) => self.persist(delta),
            Effect::Dispose { session, disposed } => {
                if let Some(outbox) = self.sessions.outbox(session) {
                    outbox.send(&ToWorker::Disposed(disposed));
                }
            }
            Effect::Revoke { session, ranges } => {
                if let Some(outbox) = self.sessions.outbox(session) {
                    let frame = wire::encode(&ToWorker::Revoke(ranges));
                    self.signer.after_leaves(outbox.clone(), frame).await;
                }
            }
            Effect::Contributed {
                job,
                contributions,
                results,
            } => {
                let now = self.now();
                self.books.contributed(job, &contributions, now);
                self.journal
                    .contributed(job, now.wall, &contributions, results);
            }
            Effect::JobSwitched { job, is_paused } => {
                self.journal.switched(job, self.clock.wall(), is_paused);
            }
            Effect::JobChanged { job } => {
                self.books.changed(job, self.clock.wall());
                self.watchers.changed(job);
            }
            Effect::JobEnded {
                job,
                completed,
                failed,
                ending,
            } => {
                let now = self.now();
                self.books.ended(job, completed, failed, ending, now);
                self.journal.ended(job, now.wall, ending);
                self.catalog.remove(job);
                self.watchers.ended(job);
            }
            Effect::SessionEnded { session } => {
                if let Some(worker) = self.sessions.end(session) {
                    self.books.tally.disconnected(&worker, self.now());
                    if !self.has_workers() {
                        self.watchers.all_changed();
                    }
                }
            }
            Effect::Drained { session } => {
                self.orders.drained(session);
                if let Some(outbox) = self.sessions.outbox(session) {
                    outbox.finish(session_ended());
                }
            }
        }
    }

    async fn welcome(&mut self, session: SessionId, unknown: Vec<Nonce>) {
        let Some((welcome, challenge)) = self.sessions.welcome(session, unknown) else {
            return;
        };
        let Some(outbox) = self.sessions.outbox(session) else {
            return;
        };
        outbox.send(&ToWorker::Welcome(Box::new(welcome)));
        let time = Leaf::Time(TimeLeaf {
            challenge,
            now: self.clock.signing(),
        });
        self.signer.time(outbox.clone(), time).await;
    }

    async fn assign(&mut self, session: SessionId, nonce: Nonce, jobs: Vec<JobAssignment>) {
        let (Some(outbox), Some(worker)) = (
            self.sessions.outbox(session).cloned(),
            self.sessions.worker(session).cloned(),
        ) else {
            return;
        };
        let Some(jobs) = self.catalog.leaf_jobs(jobs) else {
            tracing::error!("an assignment names a job that is not known");
            return;
        };
        let contents = self.inline_contents(session, &jobs);
        let issued_at = self.clock.signing();
        let leaf = Leaf::Assign(AssignLeaf {
            version: ProtocolVersion::V1,
            worker,
            session,
            nonce,
            issued_at,
            expires_at: issued_at.plus(self.signed_ttl_ms),
            jobs,
        });
        self.signer.assign(outbox, leaf, contents).await;
    }

    /// Short contents that the worker was not sent over this socket yet.
    fn inline_contents(&mut self, session: SessionId, jobs: &[LeafJob]) -> Vec<String> {
        let mut texts = Vec::new();
        for hash in jobs.iter().flat_map(|job| self.catalog.hashes(job.job)) {
            let text = self.catalog.content(hash);
            let short = text.filter(|text| text.len() <= INLINE_CONTENT_BYTES);
            if let Some(text) = short
                && self.sessions.needs_content(session, hash)
            {
                texts.push(text.to_string());
            }
        }
        texts
    }

    fn persist(&self, delta: Box<Delta>) {
        let (job, seq) = (delta.job, delta.seq);
        let commits = self.commits.clone();
        let (instruments, began) = (Arc::clone(&self.instruments), Instant::now());
        let done = Box::new(move |stored: Result<(), _>| {
            match &stored {
                Ok(()) => instruments.commit(began.elapsed()),
                Err(error) => {
                    tracing::debug!(job.id = %job, seq, "a delta is not stored: {error}");
                }
            }
            let _ = commits.send((job, seq, stored.is_ok()));
        });
        self.store.persist(delta, done);
    }
}
