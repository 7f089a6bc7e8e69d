//! The loop: one letter, one fate of a delta or one deadline at a time becomes a step of the scheduler,
//! and its effects are carried out before the next.

use scheduler::{Command, Effect, Event, Scheduler, WorkerView};
use shared::ids::{JobId, SessionId};
use shared::job::Capacity;
use tokio::sync::{mpsc, watch};

use super::catalog::ReadyJob;
use super::letters::{Dismissed, Join, Letter, LiveJob};
use super::shell::Shell;
use crate::clock::Clock;

/// Fate of a delta: job, seq, whether it is stored.
pub(super) type Commit = (JobId, u64, bool);

pub(super) struct Task {
    pub(super) scheduler: Scheduler,
    pub(super) shell: Shell,
    pub(super) clock: Clock,
    pub(super) congestion: watch::Sender<bool>,
}

impl Task {
    pub(super) async fn run(
        mut self,
        resumed: Vec<ReadyJob>,
        mut letters: mpsc::Receiver<Letter>,
        mut committed: mpsc::UnboundedReceiver<Commit>,
    ) {
        for job in resumed {
            self.take_in(job).await;
        }
        loop {
            let wake = self.scheduler.next_deadline();
            let due = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((job, seq, is_stored)) = committed.recv() => {
                    let event = if is_stored {
                        Event::Committed { job, seq }
                    } else {
                        Event::CommitFailed { job, seq }
                    };
                    self.step(event).await;
                }
                letter = letters.recv() => match letter {
                    Some(letter) => self.read(letter).await,
                    None => break,
                },
                () = due => self.step(Event::Tick).await,
            }
        }
    }

    async fn step(&mut self, event: Event) {
        for session in self.step_once(event).await {
            self.step_once(Event::WorkerLeft { session }).await;
        }
        let is_congested = self.scheduler.is_congested();
        self.congestion
            .send_if_modified(|was| std::mem::replace(was, is_congested) != is_congested);
    }

    /// Which sessions are drained.
    async fn step_once(&mut self, event: Event) -> Vec<SessionId> {
        let mut drained = Vec::new();
        for effect in self.scheduler.step(self.clock.mono(), event) {
            if let Effect::Drained { session } = &effect {
                drained.push(*session);
            }
            self.shell.perform(effect).await;
        }
        drained
    }

    async fn read(&mut self, letter: Letter) {
        match letter {
            Letter::Submit(job, reply) => {
                let id = job.outline.job;
                self.take_in(*job).await;
                if let Some(view) = self.scheduler.job(id) {
                    let _ = reply.send(view);
                }
            }
            Letter::Job(job, reply) => {
                let _ = reply.send(self.live_job(job));
            }
            Letter::Watch(job, reply) => {
                let is_running = self.shell.spec(job).is_some();
                let _ = reply.send(is_running.then(|| self.shell.watch(job)));
            }
            Letter::Events(job, after, limit, reply) => {
                let _ = reply.send(self.shell.events(job, after, limit));
            }
            Letter::Control(job, command, reply) => {
                self.step(Event::Control { job, command }).await;
                let _ = reply.send(self.scheduler.last_seq(job));
            }
            Letter::CancelAll(reply) => {
                let jobs = self.shell.jobs();
                for job in jobs.iter().copied() {
                    let command = Command::Cancel;
                    self.step(Event::Control { job, command }).await;
                }
                let _ = reply.send(jobs);
            }
            Letter::Capacity(reply) => {
                let _ = reply.send(capacity(&self.scheduler.workers()));
            }
            Letter::Workers(reply) => {
                let _ = reply.send(self.shell.worker_rows(&self.scheduler.workers()));
            }
            Letter::Look(reply) => {
                let _ = reply.send(self.shell.look(&self.scheduler));
            }
            Letter::Content(hash, reply) => {
                let _ = reply.send(self.shell.content(hash));
            }
            Letter::SessionOf(worker, reply) => {
                let _ = reply.send(self.scheduler.session_of(&worker));
            }
            Letter::Dismiss(whom, reply) => {
                let _ = reply.send(self.dismiss(&whom).await);
            }
            Letter::Drain(session, reply) => {
                self.step(Event::WorkerDraining { session }).await;
                let _ = reply.send(());
            }
            Letter::Join(join, _room) => self.join(*join).await,
            Letter::Report {
                session,
                connection,
                report,
                ..
            } => {
                if self.shell.hear(session, connection) {
                    self.step(report.into_event(session)).await;
                }
            }
            Letter::Closed {
                session,
                connection,
            } => {
                if self.shell.detach(session, connection) {
                    self.step(Event::WorkerDetached { session }).await;
                }
            }
            Letter::DismissAll => self.shell.dismiss_all(),
        }
    }

    async fn take_in(&mut self, job: ReadyJob) {
        let outline = self.shell.add_job(job);
        self.step(Event::JobReady(Box::new(outline))).await;
    }

    fn live_job(&self, job: JobId) -> Option<LiveJob> {
        Some(LiveJob {
            spec: self.shell.spec(job)?,
            view: self.scheduler.job(job)?,
            has_workers: self.shell.has_workers(),
        })
    }

    /// How many of those whose sessions end were connected.
    async fn dismiss(&mut self, whom: &Dismissed) -> u64 {
        let mut connected = 0;
        for (session, was_connected) in self.shell.dismiss(whom) {
            connected += u64::from(was_connected);
            self.step(Event::WorkerLeft { session }).await;
        }
        connected
    }

    async fn join(&mut self, join: Join) {
        if let Some(reason) = self.shell.objection(&join) {
            join.outbox.dismiss(reason);
            return;
        }
        let session = join.session;
        if self.shell.is_draining(session) {
            let nothing = Join { credit: 0, ..join };
            self.let_in(nothing).await;
            self.step(Event::WorkerDraining { session }).await;
        } else {
            self.let_in(join).await;
        }
    }

    async fn let_in(&mut self, join: Join) {
        let event = if join.resumes {
            Event::WorkerResumed {
                session: join.session,
                worker: join.worker.clone(),
                slots: join.slots,
                credit: join.credit,
                held: join.held.clone(),
            }
        } else {
            Event::WorkerJoined {
                session: join.session,
                worker: join.worker.clone(),
                slots: join.slots,
                credit: join.credit,
            }
        };
        self.shell.attach(join);
        self.step(event).await;
    }
}

fn capacity(workers: &[WorkerView]) -> Capacity {
    Capacity {
        workers: workers.len() as u64,
        slots: workers.iter().map(|worker| u64::from(worker.slots)).sum(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use scheduler::SchedulerConfig;
    use shared::ids::{Digest32, Nonce};
    use shared::wire::{ByeReason, DeviceFacts, WorkerLimits};
    use tempfile::TempDir;

    use super::*;
    use crate::config::EventSettings;
    use crate::dispatch::{Dispatch, DispatchParts};
    use crate::gateway::{Outbox, outbox};
    use crate::keys::SigningKey;
    use crate::orders::Orders;
    use crate::secrets;
    use crate::signer::Signer;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{
        EndedJobs, Entry, InviteRecord, InviteToken, NewInvite, SessionOrder, Store,
    };

    struct Fixture {
        dispatch: Dispatch,
        orders: Arc<Orders>,
        store: Arc<dyn Store>,
        _folder: TempDir,
    }

    async fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(folder.path(), None, crate::store::nobody()).unwrap());
        let clock = Clock::start();
        let orders = Arc::new(Orders::load(Arc::clone(&store), clock).await.unwrap());
        let secrets = secrets::generate();
        let key = SigningKey::from_base64(&secrets.private_key_b64, &secrets.public_key_b64);
        let parts = DispatchParts {
            signed_ttl_ms: 120_000,
            clock,
            store: Arc::clone(&store),
            signer: Signer::start(Arc::new(key.unwrap())),
            orders: Arc::clone(&orders),
            events: EventSettings {
                max_count: 100,
                max_bytes: 1 << 20,
            },
            retention: None,
            instruments: Arc::default(),
        };
        let nothing = (Vec::new(), EndedJobs::default());
        let (dispatch, _) = Dispatch::start(SchedulerConfig::default(), parts, nothing);
        Fixture {
            dispatch,
            orders,
            store,
            _folder: folder,
        }
    }

    pub(in crate::dispatch) fn join(number: u8, outbox: Outbox) -> Join {
        Join {
            session: SessionId::from_bytes([number; 16]),
            worker: format!("worker-{number}").parse().unwrap(),
            connection: u64::from(number),
            resumes: false,
            slots: 1,
            credit: 1,
            held: Vec::new(),
            device: Arc::new(DeviceFacts::default()),
            challenge: Nonce::from_bytes([0; 16]),
            token: "token".into(),
            invite: format!("invite-{number}"),
            secret: Digest32::of(&[number]),
            limits: WorkerLimits {
                max_result_bytes: 1,
                max_frame_bytes: 1,
                max_slots: 1,
            },
            outbox,
        }
    }

    fn invite(jti: &str) -> NewInvite {
        NewInvite {
            record: InviteRecord {
                jti: jti.into(),
                issued_at_sec: 0,
                expires_at_sec: 1,
                label: None,
                max_uses: None,
            },
            token: InviteToken("token".into()),
            codes: Vec::new(),
            phrases: Vec::new(),
            max_kept: 100,
        }
    }

    #[tokio::test]
    async fn who_was_let_in_a_moment_before_an_order_is_held_to_it() {
        let Fixture {
            dispatch,
            orders,
            store,
            _folder,
        } = fixture().await;
        let (outboxes, mut outgoing): (Vec<_>, Vec<_>) = (1..=4).map(|_| outbox()).unzip();
        let joins: Vec<_> = (1..=4).zip(outboxes).map(|(n, it)| join(n, it)).collect();
        store.record_invite(invite("invite-2")).await.unwrap();
        let third = Entry {
            worker: joins[2].worker.clone(),
            secret: joins[2].secret,
            invite: None,
        };
        store.admit_worker(third.clone()).await.unwrap();

        let ended = orders.order(joins[0].session, SessionOrder::End).await;
        assert_eq!(ended, Ok(()));
        assert_eq!(orders.revoke("invite-2").await, Ok(true));
        assert!(orders.ban(third.worker).await.unwrap().is_some());
        for join in joins {
            dispatch.join(join, 100).await.unwrap();
        }
        let workers = dispatch.workers().await.unwrap();
        let names: Vec<_> = workers.iter().map(|it| it.worker.as_str()).collect();
        assert_eq!(names, ["worker-4"]);
        let unauthorized = |why: &str| ByeReason::Unauthorized(why.into());
        for (outgoing, reason) in outgoing.iter_mut().zip([
            unauthorized("ended_session"),
            unauthorized("revoked_token"),
            ByeReason::Banned,
        ]) {
            assert_eq!(outgoing.next().await, Err(reason));
        }
    }
}
