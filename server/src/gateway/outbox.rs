//! What waits to be sent to one socket: bounded in frames and bytes; who does not take it is closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use shared::wire::{self, ByeReason, ToWorker};
use tokio::sync::{Notify, mpsc};

/// Frames that may wait.
const MAX_FRAMES: usize = 256;
/// Bytes that may wait.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What waits.
#[derive(Debug)]
enum Waiting {
    Frame(Vec<u8>),
    /// The socket is closed with this reason; nothing follows.
    Bye(ByeReason),
}

/// The sending end, held by whoever has something to say to the socket.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    frames: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
}

/// The receiving end, held by the socket's task.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frames: mpsc::Receiver<Waiting>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    /// The last word waits among the frames.
    is_finished: AtomicBool,
    dismissal: OnceLock<ByeReason>,
    dismissed: Notify,
}

pub(crate) fn outbox() -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::channel(MAX_FRAMES);
    let shared = Arc::<Shared>::default();
    let outbox = Outbox {
        frames: sender,
        shared: Arc::clone(&shared),
    };
    let outgoing = Outgoing {
        frames: receiver,
        shared,
    };
    (outbox, outgoing)
}

impl Outbox {
    /// Queues a message; never waits.
    pub(crate) fn send(&self, message: &ToWorker) {
        self.send_encoded(wire::encode(message));
    }

    /// As [`Self::send`], for a message that is encoded already.
    pub(crate) fn send_encoded(&self, frame: Vec<u8>) {
        let length = frame.len();
        let waiting = self.shared.bytes.fetch_add(length, Ordering::Relaxed);
        let has_room = waiting + length <= MAX_BYTES || waiting == 0;
        if !has_room || self.frames.try_send(Waiting::Frame(frame)).is_err() {
            self.dismiss(ByeReason::TooSlow);
        }
    }

    /// Has the socket closed with this reason when it has taken what waits; nothing counts after that.
    pub(crate) fn finish(&self, reason: ByeReason) {
        if self.frames.try_send(Waiting::Bye(reason)).is_ok() {
            self.shared.is_finished.store(true, Ordering::Relaxed);
        } else {
            self.dismiss(ByeReason::TooSlow);
        }
    }

    /// Has the socket closed with this reason; only the first one counts.
    pub(crate) fn dismiss(&self, reason: ByeReason) {
        let is_finished = self.shared.is_finished.load(Ordering::Relaxed);
        if !is_finished && self.shared.dismissal.set(reason).is_ok() {
            self.shared.dismissed.notify_one();
        }
    }
}

impl Outgoing {
    /// The next frame to send, or why the socket is to be closed, which comes first.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, ByeReason> {
        tokio::select! {
            biased;
            reason = self.shared.dismissal() => Err(reason),
            next = self.frames.recv() => match next {
                Some(Waiting::Frame(frame)) => {
                    self.shared.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
                    Ok(frame)
                }
                Some(Waiting::Bye(reason)) => Err(reason),
                None => std::future::pending().await,
            }
        }
    }
}

impl Shared {
    async fn dismissal(&self) -> ByeReason {
        loop {
            let notified = self.dismissed.notified();
            if let Some(reason) = self.dismissal.get() {
                return reason.clone();
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_in_order() {
        let (outbox, mut outgoing) = outbox();
        outbox.send_encoded(vec![1]);
        outbox.send_encoded(vec![2]);
        assert_eq!(outgoing.next().await, Ok(vec![1]));
        assert_eq!(outgoing.next().await, Ok(vec![2]));
    }

    #[tokio::test]
    async fn who_does_not_take_frames_is_closed_as_too_slow() {
        let (outbox, mut outgoing) = outbox();
        for _ in 0..=MAX_FRAMES {
            outbox.send_encoded(vec![0]);
        }
        assert_eq!(outgoing.next().await, Err(ByeReason::TooSlow));
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_one_frame_always_fits() {
        let (outbox, mut outgoing) = outbox();
        outbox.send_encoded(vec![0; MAX_BYTES + 1]);
        assert!(outgoing.next().await.is_ok());
        outbox.send_encoded(vec![0; MAX_BYTES]);
        outbox.send_encoded(vec![0]);
        assert_eq!(outgoing.next().await, Err(ByeReason::TooSlow));
    }

    #[tokio::test]
    async fn the_last_word_comes_after_the_frames_and_nothing_counts_after_it() {
        let (outbox, mut outgoing) = outbox();
        outbox.send_encoded(vec![1]);
        outbox.finish(ByeReason::Full);
        outbox.dismiss(ByeReason::Replaced);
        assert_eq!(outgoing.next().await, Ok(vec![1]));
        assert_eq!(outgoing.next().await, Err(ByeReason::Full));
    }

    #[tokio::test]
    async fn the_first_dismissal_counts_and_comes_before_frames() {
        let (outbox, mut outgoing) = outbox();
        outbox.send_encoded(vec![1]);
        outbox.dismiss(ByeReason::Replaced);
        outbox.dismiss(ByeReason::TooSlow);
        assert_eq!(outgoing.next().await, Err(ByeReason::Replaced));
        assert_eq!(outgoing.next().await, Err(ByeReason::Replaced));
    }
}
