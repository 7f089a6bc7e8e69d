//! The server's shell in miniature: what gateway, dispatch and signer do, without waiting.

use std::collections::BTreeMap;

use scheduler::{Effect, Event, JobAssignment, Scheduler, SchedulerConfig};
use shared::envelope::{AssignLeaf, Envelope, Leaf, LeafJob, RunJsTask, Task, TimeLeaf};
use shared::ids::{AttemptId, Digest32, JobId, SessionId, ShardIndex, WorkerId};
use shared::plan::RandomMode;
use shared::time::{Millis, UnixMillis};
use shared::wire::{
    self, Assign, ByeReason, Credential, Hello, ProtocolVersion, ToServer, ToWorker, Welcome,
    WorkerLimits,
};

use crate::keys::Keys;
use crate::random::Random;
use crate::store::Store;

pub(crate) const CODE: &str = "return {hits: 1}";
pub(crate) const EPOCH: u64 = 1_800_000_000_000;
const TTL_MS: u64 = 30_000;
const RECLAIM_MS: u64 = 15_000;

pub(crate) type Conn = u64;

/// What the server wants done by the world.
#[derive(Debug)]
pub(crate) enum Output {
    Send(Conn, ToWorker),
    Close(Conn),
    Persist(Box<scheduler::Delta>),
}

pub(crate) struct Server {
    keys: Keys,
    scheduler: Scheduler,
    started: u64,
    /// The session that speaks over a connection, once it said hello.
    sessions: BTreeMap<Conn, SessionId>,
    conns: BTreeMap<SessionId, Conn>,
    workers: BTreeMap<SessionId, WorkerId>,
    challenges: BTreeMap<SessionId, shared::ids::Nonce>,
    pub(crate) assigned: BTreeMap<AttemptId, (JobId, ShardIndex)>,
    pub(crate) readopted: u64,
}

impl Server {
    pub(crate) fn start(now: u64, keys: Keys, random: &mut Random) -> Self {
        let config = SchedulerConfig {
            reclaim_ms: RECLAIM_MS,
            reserve_block: 64,
            ..SchedulerConfig::default()
        };
        Self {
            keys,
            scheduler: Scheduler::new(random.bytes(), config),
            started: now,
            sessions: BTreeMap::new(),
            conns: BTreeMap::new(),
            workers: BTreeMap::new(),
            challenges: BTreeMap::new(),
            assigned: BTreeMap::new(),
            readopted: 0,
        }
    }

    pub(crate) fn first_high_water(shards: u64) -> u64 {
        SchedulerConfig {
            reclaim_ms: RECLAIM_MS,
            reserve_block: 64,
            ..SchedulerConfig::default()
        }
        .first_high_water(shards.max(1))
    }

    fn mono(&self, now: u64) -> Millis {
        Millis(now - self.started)
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.scheduler.next_deadline().map(|at| at.0 + self.started)
    }

    pub(crate) fn step(&mut self, now: u64, store: &Store, event: Event) -> Vec<Output> {
        let effects = self.scheduler.step(self.mono(now), event);
        effects
            .into_iter()
            .flat_map(|effect| self.perform(now, store, effect))
            .collect()
    }

    fn perform(&mut self, now: u64, store: &Store, effect: Effect) -> Vec<Output> {
        match effect {
            Effect::Welcome { session, unknown } => self.welcome(now, session, unknown),
            Effect::Assign {
                session,
                nonce,
                jobs,
            } => {
                let attempts = jobs
                    .iter()
                    .flat_map(|job| job.shards.iter().map(|(shard, _)| (job.job, *shard)));
                for ((job, shard), index) in attempts.zip(0..) {
                    self.assigned
                        .insert(AttemptId { nonce, index }, (job, shard));
                }
                let leaf = self.leaf(now, store, session, nonce, &jobs);
                let signed = self.keys.seal(Leaf::Assign(leaf));
                let contents = vec![CODE.to_owned(), "{}".to_owned()];
                self.send(
                    session,
                    ToWorker::Assign(Box::new(Assign { signed, contents })),
                )
            }
            Effect::Persist(delta) => vec![Output::Persist(delta)],
            Effect::Dispose { session, disposed } => {
                self.send(session, ToWorker::Disposed(disposed))
            }
            Effect::Revoke { session, ranges } => self.send(session, ToWorker::Revoke(ranges)),
            Effect::SessionEnded { session } => {
                self.workers.remove(&session);
                Vec::new()
            }
            Effect::Contributed { .. }
            | Effect::JobSwitched { .. }
            | Effect::JobChanged { .. }
            | Effect::JobEnded { .. }
            | Effect::Drained { .. } => Vec::new(),
        }
    }

    fn leaf(
        &self,
        now: u64,
        store: &Store,
        session: SessionId,
        nonce: shared::ids::Nonce,
        jobs: &[JobAssignment],
    ) -> AssignLeaf {
        let task = |job| {
            Task::RunJs(RunJsTask {
                code: Digest32::of(CODE.as_bytes()),
                args: Digest32::of(b"{}"),
                plan: store.jobs[&job].plan,
                timeout_ms: 0,
                seed: 1,
                random: RandomMode::Seeded,
            })
        };
        let job = |it: &JobAssignment| LeafJob {
            job: it.job,
            task: task(it.job),
            shards: it.shards.clone(),
        };
        AssignLeaf {
            version: ProtocolVersion::V1,
            worker: self.workers[&session].clone(),
            session,
            nonce,
            issued_at: UnixMillis(EPOCH + now),
            expires_at: UnixMillis(EPOCH + now + TTL_MS),
            jobs: jobs.iter().map(job).collect(),
        }
    }

    fn welcome(
        &mut self,
        now: u64,
        session: SessionId,
        unknown: Vec<shared::ids::Nonce>,
    ) -> Vec<Output> {
        let worker = self.workers[&session].clone();
        let token = format!("{session}/{worker}");
        let limits = WorkerLimits {
            max_result_bytes: 1 << 20,
            max_frame_bytes: 1 << 21,
            max_slots: 8,
        };
        let welcome = Welcome {
            session,
            worker,
            token,
            unknown,
            limits,
        };
        let mut outputs = self.send(session, ToWorker::Welcome(Box::new(welcome)));
        outputs.extend(self.tell_time(now, session));
        outputs
    }

    fn tell_time(&mut self, now: u64, session: SessionId) -> Vec<Output> {
        let challenge = self.challenges[&session];
        let leaf = Leaf::Time(TimeLeaf {
            challenge,
            now: UnixMillis(EPOCH + now),
        });
        let signed = self.keys.seal(leaf);
        self.send(session, ToWorker::Time(Box::new(signed)))
    }

    fn send(&self, session: SessionId, message: ToWorker) -> Vec<Output> {
        self.conns
            .get(&session)
            .map(|conn| Output::Send(*conn, message))
            .into_iter()
            .collect()
    }

    pub(crate) fn closed(&mut self, now: u64, store: &Store, conn: Conn) -> Vec<Output> {
        let Some(session) = self.sessions.remove(&conn) else {
            return Vec::new();
        };
        if self.conns.get(&session) != Some(&conn) {
            return Vec::new();
        }
        self.conns.remove(&session);
        self.step(now, store, Event::WorkerDetached { session })
    }

    pub(crate) fn received(
        &mut self,
        now: u64,
        store: &Store,
        random: &mut Random,
        conn: Conn,
        frame: &[u8],
    ) -> Vec<Output> {
        let message: ToServer = wire::decode(frame, usize::MAX).unwrap();
        if let ToServer::Hello(hello) = message {
            return self.greeted(now, store, random, conn, *hello);
        }
        let Some(session) = self.sessions.get(&conn).copied() else {
            panic!("the first frame is hello");
        };
        if self.conns.get(&session) != Some(&conn) {
            return Vec::new();
        }
        let event = match message {
            ToServer::Hello(_) => unreachable!("handled above"),
            ToServer::Sync { challenge } => {
                self.challenges.insert(session, challenge);
                return self.tell_time(now, session);
            }
            ToServer::Tickets(tickets) => return self.tickets(now, store, session, tickets),
            ToServer::Results(batches) => Event::Results { session, batches },
            ToServer::Credit { limit } => Event::Credit { session, limit },
            ToServer::Beat { held } => Event::Beat { session, held },
            ToServer::Refused(refusals) => Event::Refused { session, refusals },
            ToServer::Leave => Event::WorkerLeft { session },
        };
        self.step(now, store, event)
    }

    fn greeted(
        &mut self,
        now: u64,
        store: &Store,
        random: &mut Random,
        conn: Conn,
        hello: Hello,
    ) -> Vec<Output> {
        let Hello {
            worker,
            slots,
            credit,
            held,
            challenge,
            ..
        } = hello;
        let (session, worker, resume) = match hello.credential {
            Credential::Session {
                token,
                resume: true,
            } => {
                let (session, worker) = token.split_once('/').unwrap();
                (session.parse().unwrap(), worker.parse().unwrap(), true)
            }
            Credential::Session { resume: false, .. } | Credential::Invite(_) => {
                let session = SessionId::from_bytes(random.bytes());
                (session, self.free_id(worker, random), false)
            }
        };
        let mut outputs = Vec::new();
        if let Some(old) = self.conns.insert(session, conn) {
            self.sessions.remove(&old);
            let reason = ByeReason::Replaced;
            outputs.push(Output::Send(
                old,
                ToWorker::Bye {
                    reason,
                    retry_after_ms: Some(0),
                },
            ));
            outputs.push(Output::Close(old));
        }
        self.sessions.insert(conn, session);
        self.workers.insert(session, worker.clone());
        self.challenges.insert(session, challenge);
        let event = if resume {
            Event::WorkerResumed {
                session,
                worker,
                slots,
                credit,
                held,
            }
        } else {
            Event::WorkerJoined {
                session,
                worker,
                slots,
                credit,
            }
        };
        outputs.extend(self.step(now, store, event));
        outputs
    }

    /// A second tab of a profile gets an id of its own.
    fn free_id(&self, worker: WorkerId, random: &mut Random) -> WorkerId {
        let is_live = |session: &SessionId| self.workers.get(session) == Some(&worker);
        if self.conns.keys().any(is_live) {
            return format!("worker-{:06x}", random.next() & 0xff_ffff)
                .parse()
                .unwrap();
        }
        worker
    }

    fn tickets(
        &mut self,
        now: u64,
        store: &Store,
        session: SessionId,
        tickets: Vec<shared::wire::SignedLeaf>,
    ) -> Vec<Output> {
        // Tickets may be under way while the session ends.
        let Some(worker) = self.workers.get(&session).cloned() else {
            return Vec::new();
        };
        let mut outputs = Vec::new();
        for ticket in tickets {
            let verified = Envelope::new(ticket).verify(&self.keys.ring()).unwrap();
            let leaf = verified.ticket().unwrap();
            assert_eq!((&leaf.worker, leaf.session), (&worker, session));
            let jobs: Vec<JobAssignment> = leaf
                .jobs
                .iter()
                .map(|job| JobAssignment {
                    job: job.job,
                    shards: job.shards.clone(),
                })
                .collect();
            let attempts = jobs
                .iter()
                .flat_map(|job| job.shards.iter().map(|(shard, _)| (job.job, *shard)));
            for ((job, shard), index) in attempts.zip(0..) {
                self.assigned.insert(
                    AttemptId {
                        nonce: leaf.nonce,
                        index,
                    },
                    (job, shard),
                );
            }
            self.readopted += 1;
            let event = Event::TicketProved {
                session,
                nonce: leaf.nonce,
                jobs,
            };
            outputs.extend(self.step(now, store, event));
        }
        outputs
    }
}
