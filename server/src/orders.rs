//! What operators have ordered about invites and workers: held in memory, as the store has it, so that
//! every hello and every request of a worker is held to it.
//!
//! An order is stored before it is in force. It is remembered longer than any token can hold that it
//! concerns: the clock alone ends none, as it may be set back and make such a token hold again, so only
//! of very many those go whose time is up. Bans are remembered for ever. Not here: ending the sessions that are up (`dispatch`).

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::ids::{Digest32, SessionId, WorkerId};
use shared::limits::SESSION_TOKEN_TTL_SEC;
use shared::time::UnixMillis;

use crate::clock::Clock;
use crate::session_token::SessionClaims;
use crate::store::{MAX_ORDERS, Profile, SessionOrder, Store, StoreError, StoredOrders};

/// For so long an order has to hold: no session token is made any more that it concerns, and none of
/// those that were holds longer. An hour more, to be on the safe side.
const KEPT_MS: u64 = (SESSION_TOKEN_TTL_SEC + 3600) * 1000;

/// Standing orders.
#[derive(Debug)]
pub(crate) struct Orders {
    clock: Clock,
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    revoked: HashMap<String, UnixMillis>,
    sessions: HashMap<SessionId, (SessionOrder, UnixMillis)>,
    banned_workers: HashSet<WorkerId>,
    banned_secrets: HashSet<Digest32>,
}

impl Orders {
    /// Reads what was ordered.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub(crate) async fn load(store: Arc<dyn Store>, clock: Clock) -> Result<Self, StoreError> {
        let known = store.orders().await?.into();
        Ok(Self {
            clock,
            store,
            known: Mutex::new(known),
        })
    }

    /// Whether an invite lets nobody in any more.
    pub(crate) fn is_revoked(&self, jti: &str) -> bool {
        self.known().revoked.contains_key(jti)
    }

    /// Whether workers of this secret are banned.
    pub(crate) fn is_banned(&self, secret: Digest32) -> bool {
        self.known().banned_secrets.contains(&secret)
    }

    /// What is wanted of a session.
    pub(crate) fn about(&self, session: SessionId) -> Option<SessionOrder> {
        self.known().sessions.get(&session).map(|(order, _)| *order)
    }

    /// Whether a session token with these claims holds.
    pub(crate) fn allow(&self, claims: &SessionClaims) -> bool {
        let known = self.known();
        let has_ended = known
            .sessions
            .get(&claims.session)
            .is_some_and(|(order, _)| *order == SessionOrder::End);
        let is_revoked = known.revoked.contains_key(&claims.invite);
        !has_ended && !is_revoked && !known.banned_workers.contains(&claims.worker)
    }

    /// From here on an invite lets nobody in, nor do the session tokens of those who came by it.
    /// False for one that is not known.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be stored; it may hold after the next start.
    pub(crate) async fn revoke(&self, jti: &str) -> Result<bool, StoreError> {
        let until = self.end();
        let is_known = self.store.revoke_invite(jti.to_owned(), until).await?;
        if is_known {
            self.changed().revoked.insert(jti.to_owned(), until);
        }
        Ok(is_known)
    }

    /// Orders something of a session.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub(crate) async fn order(
        &self,
        session: SessionId,
        order: SessionOrder,
    ) -> Result<(), StoreError> {
        let until = self.end();
        self.store.order_session(session, order, until).await?;
        self.changed().note(session, order, until);
        Ok(())
    }

    /// A session is over that was to be drained. Where this is not stored, it is drained once more
    /// when it comes back.
    pub(crate) fn drained(&self, session: SessionId) {
        let until = self.end();
        self.changed().note(session, SessionOrder::End, until);
        let stored = self.store.order_session(session, SessionOrder::End, until);
        tokio::spawn(async move {
            if let Err(error) = stored.await {
                tracing::debug!("the end of a session is not stored: {error}");
            }
        });
    }

    /// Bans a worker, and all others of its secret; `None` for one that is not known.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub(crate) async fn ban(&self, worker: WorkerId) -> Result<Option<Profile>, StoreError> {
        let banned = self.store.ban_worker(worker).await?;
        if let Some(profile) = &banned {
            let mut known = self.known();
            known.banned_secrets.insert(profile.secret);
            known.banned_workers.extend(profile.workers.iter().cloned());
        }
        Ok(banned)
    }

    /// The opposite.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub(crate) async fn unban(&self, worker: WorkerId) -> Result<Option<Profile>, StoreError> {
        let allowed = self.store.unban_worker(worker).await?;
        if let Some(profile) = &allowed {
            let mut known = self.known();
            known.banned_secrets.remove(&profile.secret);
            for worker in &profile.workers {
                known.banned_workers.remove(worker);
            }
        }
        Ok(allowed)
    }

    fn end(&self) -> UnixMillis {
        self.clock.running().plus(KEPT_MS)
    }

    /// To add an order; where there are too many, those that end first are forgotten, as in the store.
    fn changed(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known();
        if known.revoked.len() >= MAX_ORDERS {
            forget_first(&mut known.revoked, |until| *until);
        }
        if known.sessions.len() >= MAX_ORDERS {
            forget_first(&mut known.sessions, |(_, until)| *until);
        }
        known
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_first<K: Clone + Eq + Hash, V>(orders: &mut HashMap<K, V>, end: fn(&V) -> UnixMillis) {
    let first = orders.iter().min_by_key(|(_, order)| end(order));
    if let Some(first) = first.map(|(key, _)| key.clone()) {
        orders.remove(&first);
    }
}

impl Known {
    fn note(&mut self, session: SessionId, order: SessionOrder, until: UnixMillis) {
        let known = self.sessions.entry(session).or_insert((order, until));
        *known = (known.0.max(order), known.1.max(until));
    }
}

impl From<StoredOrders> for Known {
    fn from(stored: StoredOrders) -> Self {
        let sessions = stored.sessions.into_iter();
        Self {
            revoked: stored.revoked.into_iter().collect(),
            sessions: sessions
                .map(|(session, order, until)| (session, (order, until)))
                .collect(),
            banned_secrets: stored.banned.iter().map(|(_, secret)| *secret).collect(),
            banned_workers: stored
                .banned
                .into_iter()
                .map(|(worker, _)| worker)
                .collect(),
        }
    }
}
