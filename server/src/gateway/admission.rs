//! Who may join, and under which name.
//!
//! Lives here: invites and session tokens as credentials, worker ids that belong to secrets, a name
//! of its own for each tab. Not here: how tokens are made (`invites`, `session_token`), what operators
//! have ordered (`orders`).

use shared::ids::{Digest32, SessionId, WorkerId};
use shared::wire::{ByeReason, Credential, Hello, ProtocolVersion};

use super::Gateway;
use super::presence::Claim;
use crate::invites::InviteRefusal;
use crate::random;
use crate::session_token::SessionClaims;
use crate::store::{Binding, InviteUse, SessionOrder, StoreError};

/// Draws of a fresh name before we give up: each fails only if it is taken.
const MAX_DRAWS: usize = 8;
const NAME_LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const NAME_LENGTH: usize = 6;

/// A worker that may join.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Its name, which may differ from the one it asked for, its session, and the invite that first
    /// let it in.
    pub(super) claims: SessionClaims,
    /// Whether it goes on with a session that it had.
    pub(super) resumes: bool,
    /// What opens the session again.
    pub(super) token: String,
    /// Of its secret.
    pub(super) secret: Digest32,
    /// Keeps the name taken.
    pub(super) _claim: Claim,
}

/// What the credential allows.
struct Allowed {
    invite: String,
    by: Means,
}

/// By which credential.
enum Means {
    Invite {
        /// It lets in so many workers only.
        is_limited: bool,
    },
    /// A session token, which speaks for one worker id only.
    Token { resume: Option<SessionId> },
}

impl Allowed {
    const fn resume(&self) -> Option<SessionId> {
        match self.by {
            Means::Invite { .. } => None,
            Means::Token { resume } => resume,
        }
    }

    const fn is_bound_to_id(&self) -> bool {
        match self.by {
            Means::Invite { .. } => false,
            Means::Token { .. } => true,
        }
    }
}

impl Gateway {
    pub(super) async fn admit(
        &self,
        hello: &Hello,
        connection: u64,
    ) -> Result<Admitted, ByeReason> {
        if hello.version != ProtocolVersion::V1 {
            return Err(ByeReason::UnsupportedVersion);
        }
        let secret = hello.secret.digest();
        if self.orders.is_banned(secret) {
            return Err(ByeReason::Banned);
        }
        let allowed = self.check_credential(hello)?;
        self.check_room(hello, &allowed).await?;
        let named = self.take_name(hello, &allowed, connection).await?;
        self.note_use(&allowed, &named.worker).await?;
        self.prolong_drain(named.session).await?;
        let resumes = allowed.resume() == Some(named.session);
        let claims = SessionClaims {
            worker: named.worker,
            session: named.session,
            invite: allowed.invite,
        };
        Ok(Admitted {
            resumes,
            token: self.issue(&claims),
            claims,
            secret,
            _claim: named.claim,
        })
    }

    /// A token that holds longer than the one that `me` has; none for a session that is to end.
    pub(super) fn renew(&self, me: &Admitted) -> Option<String> {
        let is_to_end = self.orders.about(me.claims.session).is_some();
        (!is_to_end).then(|| self.issue(&me.claims))
    }

    fn issue(&self, claims: &SessionClaims) -> String {
        self.tokens.issue(claims.clone(), self.clock.running())
    }

    /// Of an invite for so many workers: whether it has room for one more, before a name is taken.
    async fn check_room(&self, hello: &Hello, allowed: &Allowed) -> Result<(), ByeReason> {
        let Means::Invite { is_limited: true } = allowed.by else {
            return Ok(());
        };
        let (jti, worker) = (allowed.invite.clone(), hello.worker.clone());
        let used = self.store.check_invite_use(jti, worker).await;
        permit(used.map_err(|error| store_failed(&error))?, true)
    }

    /// An invite lets a worker in.
    async fn note_use(&self, allowed: &Allowed, worker: &WorkerId) -> Result<(), ByeReason> {
        let Means::Invite { is_limited } = allowed.by else {
            return Ok(());
        };
        let (jti, worker) = (allowed.invite.clone(), worker.clone());
        let used = self.store.use_invite(jti, worker).await;
        permit(used.map_err(|error| store_failed(&error))?, is_limited)
    }

    /// A session that is being drained gets a token once more: the order is to outlive that, too.
    async fn prolong_drain(&self, session: SessionId) -> Result<(), ByeReason> {
        if self.orders.about(session) != Some(SessionOrder::Drain) {
            return Ok(());
        }
        let prolonged = self.orders.order(session, SessionOrder::Drain).await;
        prolonged.map_err(|error| store_failed(&error))
    }

    /// The name that was asked for, or a fresh one where that is not to be had. What is signed for
    /// one name is not good for another, so a fresh name comes with a session of its own.
    async fn take_name(
        &self,
        hello: &Hello,
        allowed: &Allowed,
        connection: u64,
    ) -> Result<Named, ByeReason> {
        let session = allowed.resume().unwrap_or_else(draw_session);
        match self
            .claim(hello, &hello.worker, session, connection)
            .await?
        {
            Wish::Granted(named) => Ok(named),
            Wish::Foreign if allowed.is_bound_to_id() => Err(ByeReason::ForeignWorkerId),
            Wish::Foreign | Wish::Live => self.claim_fresh(hello, connection).await,
        }
    }

    fn check_credential(&self, hello: &Hello) -> Result<Allowed, ByeReason> {
        match &hello.credential {
            Credential::Invite(token) => {
                let claims = self
                    .invites
                    .check(token, self.clock.wall())
                    .map_err(|refusal| ByeReason::Unauthorized(refusal.reason().into()))?;
                Ok(Allowed {
                    invite: claims.jti,
                    by: Means::Invite {
                        is_limited: claims.max_uses.is_some(),
                    },
                })
            }
            Credential::Session { token, resume } => {
                let claims = self
                    .tokens
                    .check(token, self.clock.running())
                    .filter(|claims| claims.worker == hello.worker)
                    .filter(|claims| self.orders.allow(claims))
                    .filter(|claims| *resume || self.orders.about(claims.session).is_none())
                    .ok_or(ByeReason::SessionUnknown)?;
                Ok(Allowed {
                    invite: claims.invite,
                    by: Means::Token {
                        resume: resume.then_some(claims.session),
                    },
                })
            }
        }
    }

    async fn claim(
        &self,
        hello: &Hello,
        worker: &WorkerId,
        session: SessionId,
        connection: u64,
    ) -> Result<Wish, ByeReason> {
        let bound = self
            .store
            .bind_worker(worker.clone(), hello.secret.digest());
        match bound.await.map_err(|error| store_failed(&error))? {
            Binding::Foreign => Ok(Wish::Foreign),
            Binding::Own => {
                let claim = self.presence.claim(worker, session, connection).await;
                Ok(claim.map_or(Wish::Live, |claim| {
                    Wish::Granted(Named {
                        worker: worker.clone(),
                        session,
                        claim,
                    })
                }))
            }
        }
    }

    async fn claim_fresh(&self, hello: &Hello, connection: u64) -> Result<Named, ByeReason> {
        for _ in 0..MAX_DRAWS {
            let name = draw_name();
            let wish = self.claim(hello, &name, draw_session(), connection);
            if let Wish::Granted(named) = wish.await? {
                return Ok(named);
            }
        }
        Err(ByeReason::Full)
    }
}

/// A name that is taken for a session.
struct Named {
    worker: WorkerId,
    session: SessionId,
    claim: Claim,
}

/// What became of the wish for a name.
enum Wish {
    Granted(Named),
    /// It belongs to another secret.
    Foreign,
    /// Another session is connected under it.
    Live,
}

/// An invite that is not known lets in whoever it likes: who made it may have lost its database. Where
/// it is for so many, nobody knows how many are left.
fn permit(used: InviteUse, is_limited: bool) -> Result<(), ByeReason> {
    match used {
        InviteUse::Allowed => Ok(()),
        InviteUse::Unknown if !is_limited => Ok(()),
        InviteUse::Unknown | InviteUse::UsedUp => {
            let reason = InviteRefusal::UsedUp.reason();
            Err(ByeReason::Unauthorized(reason.into()))
        }
    }
}

/// Nobody can be let in whose name cannot be stored; it may come back later.
fn store_failed(error: &StoreError) -> ByeReason {
    tracing::warn!("a worker cannot join: {error}");
    ByeReason::Full
}

fn draw_name() -> WorkerId {
    let letters = (0..NAME_LENGTH).map(|_| {
        let place = random::below(NAME_LETTERS.len() as u64) as usize;
        char::from(NAME_LETTERS[place])
    });
    let name = format!("worker-{}", letters.collect::<String>());
    name.parse()
        .expect("letters, digits and a dash are allowed")
}

fn draw_session() -> SessionId {
    SessionId::from_bytes(random::bytes())
}
