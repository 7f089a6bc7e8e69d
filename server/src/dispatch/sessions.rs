//! What is known of each session beside what the scheduler knows: its socket and its device.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scheduler::WorkerView;
use shared::ids::{Digest32, Nonce, SessionId, WorkerId};
use shared::time::Millis;
use shared::wire::{ByeReason, DeviceFacts, Welcome, WorkerLimits};

use super::{Dismissed, Join};
use crate::gateway::Outbox;

/// Contents that a session is remembered to have; beyond that they are sent again.
const MAX_KNOWN_CONTENTS: usize = 1024;

/// A connected worker, as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct LiveWorker {
    /// Its name.
    pub worker: WorkerId,
    /// Shards at the same time.
    pub slots: u16,
    /// Attempts assigned and without result.
    pub in_flight: u32,
    /// Milliseconds since it was heard last.
    pub last_seen_ms: u64,
    /// What is known of its device.
    pub device: Arc<DeviceFacts>,
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: BTreeMap<SessionId, Session>,
    /// Sockets that come from here on are closed at once.
    is_closing: bool,
}

#[derive(Debug)]
struct Session {
    worker: WorkerId,
    /// The invite that first let it in.
    invite: String,
    /// Of its secret.
    secret: Digest32,
    device: Arc<DeviceFacts>,
    last_seen: Millis,
    /// `None` while it is away.
    socket: Option<Socket>,
}

#[derive(Debug)]
struct Socket {
    connection: u64,
    outbox: Outbox,
    greeting: Option<Greeting>,
    known_contents: BTreeSet<Digest32>,
}

/// What the welcome will say.
#[derive(Debug)]
struct Greeting {
    token: String,
    limits: WorkerLimits,
    challenge: Nonce,
}

impl Sessions {
    /// A socket says hello. An earlier one of the same session is closed; whether there was one.
    pub(super) fn attach(&mut self, join: Join, now: Millis) -> bool {
        if self.is_closing {
            join.outbox.dismiss(ByeReason::ShuttingDown);
        }
        let socket = Socket {
            connection: join.connection,
            outbox: join.outbox,
            greeting: Some(Greeting {
                token: join.token,
                limits: join.limits,
                challenge: join.challenge,
            }),
            known_contents: BTreeSet::new(),
        };
        let session = Session {
            worker: join.worker,
            invite: join.invite,
            secret: join.secret,
            device: join.device,
            last_seen: now,
            socket: Some(socket),
        };
        let before = self.known.insert(join.session, session);
        let replaced = before.and_then(|session| session.socket);
        if let Some(socket) = &replaced {
            socket.outbox.dismiss(ByeReason::Replaced);
        }
        replaced.is_some()
    }

    /// Whether this socket is the session's own, and not one that was replaced.
    pub(super) fn hear(&mut self, session: SessionId, connection: u64, now: Millis) -> bool {
        let own = self.known.get_mut(&session).filter(|session| {
            session
                .socket
                .as_ref()
                .is_some_and(|socket| socket.connection == connection)
        });
        own.map(|session| session.last_seen = now).is_some()
    }

    /// As [`Self::hear`], for the last time.
    pub(super) fn detach(&mut self, session: SessionId, connection: u64, now: Millis) -> bool {
        let is_own = self.hear(session, connection, now);
        if is_own && let Some(session) = self.known.get_mut(&session) {
            session.socket = None;
        }
        is_own
    }

    /// The session is over. Its socket, if it still has one, is of no use any more; whose it was.
    pub(super) fn end(&mut self, session: SessionId) -> Option<WorkerId> {
        let ended = self.known.remove(&session)?;
        ended.socket?.outbox.dismiss(ByeReason::Replaced);
        Some(ended.worker)
    }

    /// Closes sockets at once; the sessions, and whether each had one.
    pub(super) fn dismiss(&self, whom: &Dismissed) -> Vec<(SessionId, bool)> {
        let is_meant = |id: &SessionId, session: &Session| match whom {
            Dismissed::Session(meant) => id == meant,
            Dismissed::Invite(jti) => session.invite == *jti,
            Dismissed::Profile(secret) => session.secret == *secret,
        };
        let meant = self.known.iter().filter(|(id, it)| is_meant(id, it));
        meant
            .map(|(id, session)| {
                if let Some(socket) = &session.socket {
                    socket.outbox.dismiss(whom.reason());
                }
                (*id, session.socket.is_some())
            })
            .collect()
    }

    /// When a session was heard of last.
    pub(super) fn last_seen(&self, session: SessionId) -> Option<Millis> {
        self.known.get(&session).map(|session| session.last_seen)
    }

    pub(super) fn dismiss_all(&mut self) {
        self.is_closing = true;
        for socket in self
            .known
            .values()
            .filter_map(|session| session.socket.as_ref())
        {
            socket.outbox.dismiss(ByeReason::ShuttingDown);
        }
    }

    pub(super) fn has_sockets(&self) -> bool {
        self.known.values().any(|session| session.socket.is_some())
    }

    pub(super) fn outbox(&self, session: SessionId) -> Option<&Outbox> {
        let socket = self.known.get(&session)?.socket.as_ref()?;
        Some(&socket.outbox)
    }

    pub(super) fn worker(&self, session: SessionId) -> Option<&WorkerId> {
        Some(&self.known.get(&session)?.worker)
    }

    /// The welcome, which is said once a socket, and the challenge to answer after it.
    pub(super) fn welcome(
        &mut self,
        session: SessionId,
        unknown: Vec<Nonce>,
    ) -> Option<(Welcome, Nonce)> {
        let known = self.known.get_mut(&session)?;
        let greeting = known.socket.as_mut()?.greeting.take()?;
        let welcome = Welcome {
            session,
            worker: known.worker.clone(),
            token: greeting.token,
            unknown,
            limits: greeting.limits,
        };
        Some((welcome, greeting.challenge))
    }

    /// Whether the socket was not sent this content yet; it counts as sent afterwards.
    pub(super) fn needs_content(&mut self, session: SessionId, hash: Digest32) -> bool {
        let socket = self
            .known
            .get_mut(&session)
            .and_then(|known| known.socket.as_mut());
        socket.is_some_and(|socket| {
            let known = &mut socket.known_contents;
            let is_new = !known.contains(&hash);
            if is_new && known.len() >= MAX_KNOWN_CONTENTS {
                known.clear();
            }
            is_new && known.insert(hash)
        })
    }

    pub(super) fn rows(&self, views: &[WorkerView], now: Millis) -> Vec<LiveWorker> {
        let mut rows: Vec<LiveWorker> = views
            .iter()
            .filter(|view| view.connected)
            .filter_map(|view| {
                let session = self.known.get(&view.session)?;
                Some(LiveWorker {
                    worker: session.worker.clone(),
                    slots: view.slots,
                    in_flight: view.in_flight,
                    last_seen_ms: now.since(session.last_seen),
                    device: Arc::clone(&session.device),
                })
            })
            .collect();
        rows.sort_by(|a, b| a.worker.cmp(&b.worker));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::tests::join;
    use super::*;
    use crate::gateway::outbox;

    #[test]
    fn a_content_is_sent_once_a_socket_and_again_to_who_was_sent_very_many() {
        let mut sessions = Sessions::default();
        let session = SessionId::from_bytes([1; 16]);
        sessions.attach(join(1, outbox().0), Millis(0));
        let hash = |number: usize| Digest32::of(&number.to_le_bytes());
        for number in 0..MAX_KNOWN_CONTENTS {
            assert!(sessions.needs_content(session, hash(number)));
        }
        assert!(!sessions.needs_content(session, hash(0)));
        assert!(sessions.needs_content(session, hash(MAX_KNOWN_CONTENTS)));
        assert!(
            sessions.needs_content(session, hash(0)),
            "all were forgotten"
        );
    }
}
