//! The signing thread: all leaves that wait go into one tree under one signature.
//!
//! While one signature is computed the next tree fills, so batches grow with the load by themselves.
//! Lives here: batching, and putting signed leaves into frames. Not here: what is assigned
//! (`scheduler`), the raw signature (`keys`).
//!
//! Whatever must not overtake a leaf on its way to the same worker goes through here too.

use std::sync::Arc;

use shared::envelope::Leaf;
use shared::limits::MAX_LEAVES_PER_TREE;
use shared::wire::{Assign, ByeReason, SignedLeaf, ToWorker};
use tokio::sync::mpsc;

use crate::gateway::Outbox;
use crate::keys::SigningKey;

/// Leaves that may wait. Who sends more waits itself, which holds up the scheduler rather than fill
/// memory; a leaf is 24 KiB at most.
const QUEUE: usize = 256;

const _: () = assert!(QUEUE <= MAX_LEAVES_PER_TREE);

/// What to send to a worker, in order.
#[derive(Debug)]
enum Item {
    Time(Leaf),
    Assign(Leaf, Vec<String>),
    Plain(Vec<u8>),
}

/// A handle to the signing thread, which ends when the last handle is gone.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    queue: mpsc::Sender<(Outbox, Item)>,
}

impl Signer {
    /// Starts the thread.
    pub(crate) fn start(key: Arc<SigningKey>) -> Self {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("signer".into())
            .spawn(move || {
                let mut batch = Vec::with_capacity(QUEUE);
                while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
                    send_signed(&key, std::mem::take(&mut batch));
                }
            })
            .expect("a thread can be started");
        Self { queue }
    }

    /// Signs and sends a time leaf.
    pub(crate) async fn time(&self, outbox: Outbox, leaf: Leaf) {
        self.enqueue(outbox, Item::Time(leaf)).await;
    }

    /// Signs and sends an assignment with the contents that ride along.
    pub(crate) async fn assign(&self, outbox: Outbox, leaf: Leaf, contents: Vec<String>) {
        self.enqueue(outbox, Item::Assign(leaf, contents)).await;
    }

    /// Sends a frame after every leaf before it.
    pub(crate) async fn after_leaves(&self, outbox: Outbox, frame: Vec<u8>) {
        self.enqueue(outbox, Item::Plain(frame)).await;
    }

    async fn enqueue(&self, outbox: Outbox, item: Item) {
        let sent = self.queue.send((outbox, item)).await;
        sent.expect("the signing thread lives as long as its handles");
    }
}

fn send_signed(key: &SigningKey, batch: Vec<(Outbox, Item)>) {
    let leaves: Vec<Leaf> = batch
        .iter()
        .filter_map(|(_, item)| match item {
            Item::Time(leaf) | Item::Assign(leaf, _) => Some(leaf.clone()),
            Item::Plain(_) => None,
        })
        .collect();
    let signed = if leaves.is_empty() {
        Ok(Vec::new())
    } else {
        key.seal(&leaves)
    };
    match signed {
        Ok(signed) => deliver(batch, signed.into_iter()),
        Err(error) => {
            tracing::error!(leaves = leaves.len(), "{error}");
            for (outbox, _) in batch {
                outbox.dismiss(ByeReason::ShuttingDown);
            }
        }
    }
}

fn deliver(batch: Vec<(Outbox, Item)>, mut signed: impl Iterator<Item = SignedLeaf>) {
    let mut next = || Box::new(signed.next().expect("a signed leaf for each leaf"));
    for (outbox, item) in batch {
        match item {
            Item::Time(_) => outbox.send(&ToWorker::Time(next())),
            Item::Assign(_, contents) => outbox.send(&ToWorker::Assign(Box::new(Assign {
                signed: *next(),
                contents,
            }))),
            Item::Plain(frame) => outbox.send_encoded(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::gateway::outbox;

    #[tokio::test]
    async fn who_sends_more_than_can_wait_waits_itself() {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let signer = Signer { queue };
        let (outbox, _outgoing) = outbox();
        let send = || signer.after_leaves(outbox.clone(), Vec::new());
        for _ in 0..QUEUE {
            send().await;
        }
        assert_eq!(send().now_or_never(), None);
        waiting.recv().await;
        send().await;
    }
}
