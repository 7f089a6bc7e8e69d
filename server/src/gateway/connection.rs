//! One socket, from hello to bye.
//!
//! Everything that comes is checked here before the task that owns the scheduler sees it: sizes,
//! order, ranges, results, the signatures of tickets. What does not pass ends this socket with a
//! reason.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use scheduler::JobAssignment;
use shared::envelope::{AssignLeaf, Envelope, Leaf, TimeLeaf};
use shared::ids::{Nonce, SessionId, WorkerId};
use shared::limits::{
    MAX_ATTEMPTS_PER_LEAF, MAX_ATTEMPTS_PER_MESSAGE, MAX_RANGES_PER_MESSAGE, MAX_SLOTS,
    MAX_TICKETS_PER_FRAME,
};
use shared::wire::{
    self, AttemptRange, ByeReason, DeviceFacts, Hello, Renewed, ResultBatch, ResultDetails,
    ResultRow, SignedLeaf, ToServer, ToWorker,
};
use tokio::time::{Instant, timeout};

use super::Gateway;
use super::admission::Admitted;
use super::heartbeat::{Beat, Heartbeat};
use super::outbox::{Outbox, Outgoing, outbox};
use super::pace::Pace;
use super::results::make_harmless;
use super::seats::{Greeting, Joined};
use crate::dispatch::{Join, Report};
use crate::instruments::Direction;
use crate::random;

/// A socket that has not said hello by then is closed.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames of a socket up to its hello, those among them that only keep it alive.
const MAX_FRAMES_BEFORE_HELLO: usize = 16;
/// Time for the last frames of a socket to be taken.
const BYE_TIMEOUT: Duration = Duration::from_secs(2);
/// Memory that a decoded result takes beside its texts; in a frame it takes a few bytes.
const ROW_BYTES: usize = size_of::<ResultRow>() + size_of::<ResultDetails>();

/// Why a socket ends.
#[derive(Debug)]
enum End {
    /// The worker is gone.
    Gone,
    /// We close it.
    Bye(ByeReason),
}

const VIOLATION: End = End::Bye(ByeReason::ProtocolViolation);

/// Serves one socket to its end.
pub(super) async fn serve(gateway: Arc<Gateway>, socket: WebSocket, seat: Greeting) {
    let number = gateway.number();
    let (outbox, outgoing) = outbox();
    let settings = &gateway.settings;
    let heartbeat = Heartbeat::new(settings.ping_interval, settings.ping_timeout);
    let pace = Pace::new(settings.message_rate);
    let mut connection = Connection {
        gateway,
        socket,
        number,
        outbox,
        outgoing,
        heartbeat,
        pace,
    };
    let end = match connection.greet(seat).await {
        Ok((joined, _seat)) => {
            let end = connection.attend(&joined).await;
            let dispatch = &connection.gateway.dispatch;
            dispatch.closed(joined.claims.session, number).await;
            drop(joined);
            end
        }
        Err(end) => end,
    };
    if let End::Bye(reason) = end {
        connection.say_bye(reason).await;
    }
}

struct Connection {
    gateway: Arc<Gateway>,
    socket: WebSocket,
    number: u64,
    outbox: Outbox,
    outgoing: Outgoing,
    heartbeat: Heartbeat,
    pace: Pace,
}

impl Connection {
    /// Waits for hello and lets the worker in. Its first seat is free for another then.
    async fn greet(&mut self, seat: Greeting) -> Result<(Admitted, Joined), End> {
        let gateway = Arc::clone(&self.gateway);
        let first = tokio::select! {
            first = timeout(HELLO_TIMEOUT, self.first_message()) => first,
            () = gateway.stopping.cancelled() => return Err(End::Bye(ByeReason::ShuttingDown)),
        };
        let (first, bytes) = first.map_err(|_| VIOLATION)??;
        let hello = match first {
            ToServer::Hello(hello) => hello,
            ToServer::Sync { .. }
            | ToServer::Tickets(_)
            | ToServer::Results(_)
            | ToServer::Credit { .. }
            | ToServer::Beat { .. }
            | ToServer::Refused(_)
            | ToServer::Leave => return Err(VIOLATION),
        };
        check_hello(&hello)?;
        let admitted = self.gateway.admit(&hello, self.number).await;
        let admitted = admitted.map_err(End::Bye)?;
        let joined = self.gateway.seats.join(&seat);
        let joined = joined.ok_or(End::Bye(ByeReason::Full))?;
        self.join(*hello, &admitted, bytes).await?;
        Ok((admitted, joined))
    }

    /// The first message, and the bytes of its frame.
    async fn first_message(&mut self) -> Result<(ToServer, usize), End> {
        for _ in 0..MAX_FRAMES_BEFORE_HELLO {
            let message = self.socket.recv().await;
            let bytes = message_bytes(message.as_ref());
            if let Some(message) = self.decode(message)? {
                return Ok((message, bytes));
            }
        }
        Err(End::Bye(ByeReason::Full))
    }

    async fn join(&mut self, hello: Hello, admitted: &Admitted, bytes: usize) -> Result<(), End> {
        tracing::info!(
            worker.id = %admitted.claims.worker,
            resumes = admitted.resumes,
            self_test = ?hello.self_test,
            "a worker joins"
        );
        let join = Join {
            session: admitted.claims.session,
            worker: admitted.claims.worker.clone(),
            connection: self.number,
            resumes: admitted.resumes,
            slots: hello.slots.min(self.gateway.settings.limits.max_slots),
            credit: hello.credit,
            held: hello.held,
            device: tidy(hello.device).into(),
            challenge: hello.challenge,
            token: admitted.token.clone(),
            invite: admitted.claims.invite.clone(),
            secret: admitted.secret,
            limits: self.gateway.settings.limits,
            outbox: self.outbox.clone(),
        };
        let joined = self.gateway.dispatch.join(join, bytes).await;
        joined.map_err(|_| End::Bye(ByeReason::Full))
    }

    /// Sends, receives and pings until the socket ends.
    async fn attend(&mut self, me: &Admitted) -> End {
        let timer = tokio::time::sleep(self.heartbeat.first());
        tokio::pin!(timer);
        loop {
            let step = tokio::select! {
                next = self.outgoing.next() => match next {
                    Ok(frame) => {
                        self.gateway.instruments.frame(Direction::Out);
                        self.send(Message::Binary(frame.into())).await
                    }
                    Err(reason) => Err(End::Bye(reason)),
                },
                message = self.socket.recv() => self.received(me, message).await,
                () = &mut timer => {
                    let beaten = self.beat().await;
                    beaten.map(|pause| timer.as_mut().reset(Instant::now() + pause))
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Pings when it is time to. Returns when to come again.
    async fn beat(&mut self) -> Result<Duration, End> {
        match self.heartbeat.due() {
            Beat::Dead => Err(End::Gone),
            Beat::Rest(pause) => Ok(pause),
            Beat::Ping(pause) => {
                self.send(Message::Ping(axum::body::Bytes::new())).await?;
                Ok(pause)
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        let patience = self.gateway.settings.ping_timeout;
        match timeout(patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Bye(ByeReason::TooSlow)),
        }
    }

    async fn received(
        &mut self,
        me: &Admitted,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), End> {
        let mut bytes = message_bytes(message.as_ref());
        let Some(message) = self.decode(message)? else {
            return Ok(());
        };
        let max_result_bytes = self.gateway.settings.limits.max_result_bytes as usize;
        let report = match message {
            ToServer::Hello(_) => return Err(VIOLATION),
            ToServer::Sync { challenge } => {
                self.tell_time(challenge).await;
                return self.renew_token(me).await;
            }
            ToServer::Tickets(tickets) => return self.prove(me, tickets, bytes).await,
            ToServer::Results(batches) => {
                bytes += rows_in(&batches) * ROW_BYTES;
                Report::Results(harmless(batches, max_result_bytes)?)
            }
            ToServer::Credit { limit } => Report::Credit(limit),
            ToServer::Beat { held } => {
                check_ranges(held.iter().map(|held| held.range))?;
                Report::Beat(held)
            }
            ToServer::Refused(refused) => {
                check_ranges(refused.iter().filter_map(|refused| refused.range))?;
                check_count(refused.len())?;
                for refusal in &refused {
                    let attempts = refusal.range.map_or(1, |range| range.count);
                    self.gateway.instruments.refusal(refusal.reason, attempts);
                }
                Report::Refused(refused)
            }
            ToServer::Leave => Report::Leave,
        };
        self.report(me.claims.session, report, bytes).await
    }

    async fn report(
        &mut self,
        session: SessionId,
        report: Report,
        bytes: usize,
    ) -> Result<(), End> {
        let dispatch = &self.gateway.dispatch;
        let taken = dispatch.report(session, self.number, report, bytes);
        taken.await.map_err(|_| End::Bye(ByeReason::Full))
    }

    async fn tell_time(&mut self, challenge: Nonce) {
        let leaf = Leaf::Time(TimeLeaf {
            challenge,
            now: self.gateway.clock.signing(),
        });
        self.gateway.signer.time(self.outbox.clone(), leaf).await;
    }

    /// Workers ask for the time often enough that no session ends because its token does.
    async fn renew_token(&mut self, me: &Admitted) -> Result<(), End> {
        let Some(token) = self.gateway.renew(me) else {
            return Ok(());
        };
        let frame = wire::encode(&ToWorker::Renewed(Renewed { token }));
        self.send(Message::Binary(frame.into())).await
    }

    /// Takes attempts back that this server, or the process before it, gave to this session. A
    /// ticket that proves nothing is ignored: what was done for it is refused when it comes.
    async fn prove(
        &mut self,
        me: &Admitted,
        tickets: Vec<SignedLeaf>,
        bytes: usize,
    ) -> Result<(), End> {
        if tickets.len() > MAX_TICKETS_PER_FRAME {
            return Err(VIOLATION);
        }
        for ticket in tickets {
            match self.proved(ticket, &me.claims.worker, me.claims.session) {
                Some(leaf) => {
                    let report = Report::Ticket {
                        nonce: leaf.nonce,
                        jobs: assignments(leaf),
                    };
                    self.report(me.claims.session, report, bytes).await?;
                }
                None => tracing::warn!(worker.id = %me.claims.worker, "a ticket proves nothing"),
            }
        }
        Ok(())
    }

    fn proved(
        &self,
        ticket: SignedLeaf,
        worker: &WorkerId,
        session: SessionId,
    ) -> Option<AssignLeaf> {
        let verified = Envelope::new(ticket).verify(&self.gateway.keys).ok()?;
        let leaf = verified.ticket().ok()?;
        (leaf.worker == *worker && leaf.session == session).then(|| leaf.clone())
    }

    /// The message in a frame; `None` for a frame that only keeps the socket alive.
    fn decode(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<ToServer>, End> {
        self.heartbeat.hear();
        let bytes = message_bytes(message.as_ref());
        if !self.pace.allows(bytes, Instant::now()) {
            return Err(End::Bye(ByeReason::Full));
        }
        match message {
            Some(Ok(Message::Binary(frame))) => {
                self.gateway.instruments.frame(Direction::In);
                let most = self.gateway.settings.limits.max_frame_bytes as usize;
                wire::decode(&frame, most).map(Some).map_err(|_| VIOLATION)
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Text(_))) => Err(VIOLATION),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            // Not a WebSocket frame, or one beyond the cap.
            Some(Err(_)) => Err(VIOLATION),
        }
    }

    async fn say_bye(&mut self, reason: ByeReason) {
        tracing::debug!(?reason, "a socket is closed");
        self.gateway.instruments.bye(&reason);
        let close = CloseFrame {
            code: close_code(&reason),
            reason: axum::extract::ws::Utf8Bytes::from_static(""),
        };
        let bye = wire::encode(&ToWorker::Bye {
            retry_after_ms: retry_after_ms(&reason),
            reason,
        });
        let last_words = async {
            self.socket.send(Message::Binary(bye.into())).await?;
            self.socket.send(Message::Close(Some(close))).await?;
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<(), axum::Error>(())
        };
        let _ = timeout(BYE_TIMEOUT, last_words).await;
    }
}

fn message_bytes(message: Option<&Result<Message, axum::Error>>) -> usize {
    match message {
        Some(Ok(Message::Binary(frame))) => frame.len(),
        Some(_) | None => 0,
    }
}

fn check_hello(hello: &Hello) -> Result<(), End> {
    check_ranges(hello.held.iter().map(|held| held.range))?;
    let has_slots = (1..=MAX_SLOTS).contains(&hello.slots);
    has_slots.then_some(()).ok_or(VIOLATION)
}

fn check_count(entries: usize) -> Result<(), End> {
    (entries <= MAX_RANGES_PER_MESSAGE)
        .then_some(())
        .ok_or(VIOLATION)
}

/// No range reaches beyond what a leaf can hold, nor all of them beyond what a worker can hold, so
/// that walking them is cheap.
fn check_ranges(ranges: impl Iterator<Item = AttemptRange>) -> Result<(), End> {
    let (mut count, mut attempts) = (0, 0);
    for range in ranges {
        count += 1;
        attempts += range.count as usize;
        let end = u64::from(range.first) + u64::from(range.count);
        let is_cheap = attempts <= MAX_ATTEMPTS_PER_MESSAGE;
        if range.count == 0 || end > MAX_ATTEMPTS_PER_LEAF as u64 || !is_cheap {
            return Err(VIOLATION);
        }
    }
    check_count(count)
}

fn harmless(
    mut batches: Vec<ResultBatch>,
    max_result_bytes: usize,
) -> Result<Vec<ResultBatch>, End> {
    check_count(batches.len())?;
    if rows_in(&batches) > MAX_ATTEMPTS_PER_MESSAGE {
        return Err(VIOLATION);
    }
    for batch in &mut batches {
        if batch.rows.len() > MAX_ATTEMPTS_PER_LEAF {
            return Err(VIOLATION);
        }
        for row in &mut batch.rows {
            make_harmless(row, max_result_bytes);
        }
    }
    Ok(batches)
}

fn rows_in(batches: &[ResultBatch]) -> usize {
    batches.iter().map(|batch| batch.rows.len()).sum()
}

fn assignments(leaf: AssignLeaf) -> Vec<JobAssignment> {
    leaf.jobs
        .into_iter()
        .map(|job| JobAssignment {
            job: job.job,
            shards: job.shards,
        })
        .collect()
}

/// Device facts as far as they can be true and short.
fn tidy(device: DeviceFacts) -> DeviceFacts {
    let short =
        |text: Option<String>, most: usize| text.filter(|text| text.chars().count() <= most);
    let amount = |number: Option<f64>| number.filter(|number| number.is_finite() && *number >= 0.0);
    DeviceFacts {
        hardware_concurrency: device.hardware_concurrency.filter(|count| *count > 0),
        device_memory_gb: amount(device.device_memory_gb).filter(|memory| *memory > 0.0),
        effective_type: short(device.effective_type, 16),
        downlink_mbps: amount(device.downlink_mbps),
        rtt_ms: amount(device.rtt_ms),
        platform: short(device.platform, 120),
        visibility: short(device.visibility, 24),
        battery_level: amount(device.battery_level).filter(|level| *level <= 1.0),
        save_data: device.save_data,
        charging: device.charging,
        mobile: device.mobile,
        secure_context: device.secure_context,
    }
}

/// When a worker may come back; jittered where many may be told at once.
fn retry_after_ms(reason: &ByeReason) -> Option<u32> {
    let around = |ms: u32| ms + random::below(u64::from(ms)) as u32;
    match reason {
        ByeReason::Unauthorized(_)
        | ByeReason::SessionUnknown
        | ByeReason::ForeignWorkerId
        | ByeReason::UnsupportedVersion
        | ByeReason::Replaced
        | ByeReason::Banned => None,
        ByeReason::ProtocolViolation => Some(around(10_000)),
        ByeReason::TooSlow => Some(around(1_000)),
        ByeReason::Full => Some(around(5_000)),
        ByeReason::ShuttingDown => Some(around(1_000)),
    }
}

fn close_code(reason: &ByeReason) -> u16 {
    match reason {
        ByeReason::Unauthorized(_)
        | ByeReason::SessionUnknown
        | ByeReason::ForeignWorkerId
        | ByeReason::ProtocolViolation
        | ByeReason::Banned => close_code::POLICY,
        ByeReason::UnsupportedVersion => close_code::PROTOCOL,
        ByeReason::Replaced | ByeReason::ShuttingDown => close_code::RESTART,
        ByeReason::TooSlow | ByeReason::Full => close_code::AGAIN,
    }
}
