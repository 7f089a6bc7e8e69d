//! Which worker ids have a live socket, so that two tabs never share one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::ids::{SessionId, WorkerId};
use tokio::sync::Notify;

use crate::store::IsHere;

/// A reloaded page may be here before the end of its old socket: this long is waited for that.
const PATIENCE: Duration = Duration::from_millis(500);

/// The worker ids that have a live socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presence {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    live: Mutex<HashMap<WorkerId, Live>>,
    freed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Live {
    session: SessionId,
    connection: u64,
}

/// A worker id is taken as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    shared: Arc<Shared>,
    worker: WorkerId,
    connection: u64,
}

impl Presence {
    /// Tells whether a worker is here, whenever it is asked.
    pub(crate) fn is_here(&self) -> IsHere {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |worker| shared.lock().contains_key(worker))
    }

    /// Who is here.
    pub(super) fn workers(&self) -> Vec<WorkerId> {
        self.shared.lock().keys().cloned().collect()
    }

    /// Takes `worker` for a socket; `None` while another session has it. A socket of the same
    /// session is replaced.
    pub(super) async fn claim(
        &self,
        worker: &WorkerId,
        session: SessionId,
        connection: u64,
    ) -> Option<Claim> {
        let claimed = async {
            loop {
                let freed = self.shared.freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                if let Some(claim) = self.try_claim(worker, session, connection) {
                    return claim;
                }
                freed.await;
            }
        };
        tokio::time::timeout(PATIENCE, claimed).await.ok()
    }

    fn try_claim(&self, worker: &WorkerId, session: SessionId, connection: u64) -> Option<Claim> {
        let mut live = self.shared.lock();
        if live.get(worker).is_some_and(|live| live.session != session) {
            return None;
        }
        Some(self.insert(&mut live, worker, session, connection))
    }

    /// Takes `worker` for a socket from whoever has it.
    pub(super) fn take_over(
        &self,
        worker: &WorkerId,
        session: SessionId,
        connection: u64,
    ) -> Claim {
        let mut live = self.shared.lock();
        self.insert(&mut live, worker, session, connection)
    }

    fn insert(
        &self,
        live: &mut HashMap<WorkerId, Live>,
        worker: &WorkerId,
        session: SessionId,
        connection: u64,
    ) -> Claim {
        let entry = Live {
            session,
            connection,
        };
        live.insert(worker.clone(), entry);
        Claim {
            shared: Arc::clone(&self.shared),
            worker: worker.clone(),
            connection,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut live = self.shared.lock();
        if live
            .get(&self.worker)
            .is_some_and(|live| live.connection == self.connection)
        {
            live.remove(&self.worker);
            drop(live);
            self.shared.freed.notify_waiters();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerId {
        "worker-ab12cd".parse().unwrap()
    }

    const FIRST: SessionId = SessionId::from_bytes([1; 16]);
    const SECOND: SessionId = SessionId::from_bytes([2; 16]);

    #[tokio::test(start_paused = true)]
    async fn an_id_has_one_live_session() {
        let presence = Presence::default();
        let held = presence.claim(&worker(), FIRST, 1).await;
        assert!(held.is_some());
        assert!(presence.claim(&worker(), SECOND, 2).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reloaded_page_gets_its_id_when_the_old_socket_ends() {
        let presence = Presence::default();
        let held = presence.claim(&worker(), FIRST, 1).await;
        let reloaded = tokio::spawn({
            let presence = presence.clone();
            async move { presence.claim(&worker(), SECOND, 2).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(reloaded.await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replaced_socket_does_not_free_its_successors_id() {
        let presence = Presence::default();
        let old = presence.claim(&worker(), FIRST, 1).await;
        let resumed = presence.claim(&worker(), FIRST, 2).await;
        drop(old);
        assert!(presence.claim(&worker(), SECOND, 3).await.is_none());
        drop(resumed);
        assert!(presence.claim(&worker(), SECOND, 4).await.is_some());
    }
}
