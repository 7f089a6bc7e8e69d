//! Who may join, and under which name.
//!
//! Lives here: invites and session tokens as credentials, worker ids that belong to secrets, a name
//! of its own for each tab. A session token opens its own name. While that is in use, a further name
//! is a further use of the invite; where none is left, the token takes its name over. So no member of
//! a group makes more of its invite than the invite allows. Not here: how tokens are made (`invites`, `session_token`), what operators
//! have ordered (`orders`).

use shared::ids::{Digest32, SessionId, WorkerId};
use shared::wire::{ByeReason, Credential, Hello, ProtocolVersion};

use super::Gateway;
use super::presence::Claim;
use crate::invites::InviteRefusal;
use crate::random;
use crate::session_token::SessionClaims;
use crate::store::{Admission, Entry, EntryInvite, SessionOrder, StoreError};

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

    /// What the name that was asked for is a use of.
    fn invite(&self) -> Option<EntryInvite> {
        match self.by {
            Means::Invite { is_limited } => Some(self.use_of_invite(is_limited)),
            Means::Token { .. } => None,
        }
    }

    /// What a further name is a use of. Whether the invite of a token is limited is not known where
    /// the invite is not.
    fn invite_of_further(&self) -> EntryInvite {
        match self.by {
            Means::Invite { is_limited } => self.use_of_invite(is_limited),
            Means::Token { .. } => self.use_of_invite(true),
        }
    }

    fn use_of_invite(&self, is_limited: bool) -> EntryInvite {
        EntryInvite {
            jti: self.invite.clone(),
            is_limited,
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
        let named = self.take_name(hello, &allowed, connection).await?;
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
        let entry = Entry {
            worker: hello.worker.clone(),
            secret: hello.secret.digest(),
            invite: allowed.invite(),
        };
        let wish = self.claim(entry.clone(), session, connection).await?;
        let is_live = match wish {
            Wish::Granted(named) => return Ok(named),
            Wish::UsedUp => return Err(used_up()),
            Wish::Foreign if allowed.is_bound_to_id() => return Err(ByeReason::ForeignWorkerId),
            Wish::Foreign => false,
            Wish::Live => true,
        };
        let further = Entry {
            invite: Some(allowed.invite_of_further()),
            ..entry
        };
        match self.claim_fresh(&further, connection).await? {
            Some(named) => Ok(named),
            None if is_live && allowed.is_bound_to_id() => {
                Ok(self.take_over(further.worker, connection))
            }
            None => Err(used_up()),
        }
    }

    /// A name that is in use, from whoever has it. That ends there when this session begins.
    fn take_over(&self, worker: WorkerId, connection: u64) -> Named {
        let session = draw_session();
        let claim = self.presence.take_over(&worker, session, connection);
        Named {
            worker,
            session,
            claim,
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

    /// Takes a name while it is not in use. It is stored only for who may come in, and only once it
    /// is taken.
    async fn claim(
        &self,
        entry: Entry,
        session: SessionId,
        connection: u64,
    ) -> Result<Wish, ByeReason> {
        let outlook = self.store.check_entry(entry.clone()).await;
        let outlook = outlook.map_err(|error| store_failed(&error))?;
        if let Some(refused) = Wish::refused(outlook) {
            return Ok(refused);
        }
        let worker = entry.worker.clone();
        let Some(claim) = self.presence.claim(&worker, session, connection).await else {
            return Ok(Wish::Live);
        };
        if outlook == Admission::Open {
            let admitted = self.store.admit_worker(entry).await;
            let admitted = admitted.map_err(|error| store_failed(&error))?;
            if let Some(refused) = Wish::refused(admitted) {
                return Ok(refused);
            }
        }
        Ok(Wish::Granted(Named {
            worker,
            session,
            claim,
        }))
    }

    /// A name that nobody has; `None` where the invite is used up.
    async fn claim_fresh(
        &self,
        entry: &Entry,
        connection: u64,
    ) -> Result<Option<Named>, ByeReason> {
        for _ in 0..MAX_DRAWS {
            let entry = Entry {
                worker: draw_name(),
                ..entry.clone()
            };
            match self.claim(entry, draw_session(), connection).await? {
                Wish::Granted(named) => return Ok(Some(named)),
                Wish::UsedUp => return Ok(None),
                Wish::Foreign | Wish::Live => {}
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
    /// The invite lets in nobody more.
    UsedUp,
}

impl Wish {
    const fn refused(admission: Admission) -> Option<Self> {
        match admission {
            Admission::Noted | Admission::Open => None,
            Admission::Foreign => Some(Self::Foreign),
            Admission::UsedUp | Admission::Unknown => Some(Self::UsedUp),
        }
    }
}

fn used_up() -> ByeReason {
    ByeReason::Unauthorized(InviteRefusal::UsedUp.reason().into())
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
