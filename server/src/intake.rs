//! How much may be read from a connection whose peer has proved nothing yet.
//!
//! Lives here: the meter of a connection, and the reader that obeys it. Not here: who is held to it
//! (`gateway/seats`). A peer has a little of its own, which nobody can take from it; who sends more
//! draws from what all such peers share, and is cut off when that is used up.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that are drawn from the shared ones at a time.
const DRAUGHT: u32 = 16 * 1024;

/// Bytes that metered connections share.
#[derive(Debug, Clone)]
pub(crate) struct SharedIntake(Arc<Semaphore>);

impl SharedIntake {
    /// `bytes` to share.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }
}

/// What may be read from one connection: anything, unless it is metered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intake(Arc<Mutex<Option<Meter>>>);

#[derive(Debug)]
struct Meter {
    /// Below 0 by what the last read brought beyond it.
    left: i64,
    shared: SharedIntake,
    /// Given back with the meter.
    drawn: Option<OwnedSemaphorePermit>,
}

impl Intake {
    /// Lets `own` bytes be read, and what there is of the shared ones.
    pub(crate) fn meter(&self, own: u32, shared: &SharedIntake) {
        *self.lock() = Some(Meter {
            left: own.into(),
            shared: shared.clone(),
            drawn: None,
        });
    }

    /// Lets anything be read, and gives back what was drawn.
    pub(crate) fn release(&self) {
        *self.lock() = None;
    }

    /// A reader that obeys.
    pub(crate) const fn reader<R>(self, inner: R) -> MeteredReader<R> {
        MeteredReader {
            inner,
            intake: self,
        }
    }

    /// Whether more may be read.
    fn allows_more(&self) -> bool {
        self.lock().as_mut().is_none_or(Meter::allows_more)
    }

    fn took(&self, bytes: usize) {
        if let Some(meter) = self.lock().as_mut() {
            meter.left = meter.left.saturating_sub_unsigned(bytes as u64);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Meter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    fn allows_more(&mut self) -> bool {
        while self.left <= 0 {
            let semaphore = Arc::clone(&self.shared.0);
            let Ok(drawn) = semaphore.try_acquire_many_owned(DRAUGHT) else {
                return false;
            };
            self.left += i64::from(DRAUGHT);
            match &mut self.drawn {
                Some(before) => before.merge(drawn),
                None => self.drawn = Some(drawn),
            }
        }
        true
    }
}

/// Reads what a connection's [`Intake`] allows, and up to one buffer more.
#[derive(Debug)]
pub(crate) struct MeteredReader<R> {
    inner: R,
    intake: Intake,
}

impl<R: AsyncRead + Unpin> AsyncRead for MeteredReader<R> {
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`] when no more may be read, beside those of the socket.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if !self.intake.allows_more() {
            return Poll::Ready(Err(Error::from(ErrorKind::QuotaExceeded)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.intake.took(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const OWN: u32 = 4096;
    const BUFFER: usize = 1024;

    /// Bytes that can be read of an endless connection.
    async fn readable(intake: &Intake) -> usize {
        let mut reader = intake.clone().reader(tokio::io::repeat(0));
        let (mut total, mut buffer) = (0, [0; BUFFER]);
        loop {
            match reader.read(&mut buffer).await {
                Ok(bytes) => total += bytes,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
                    return total;
                }
            }
        }
    }

    #[tokio::test]
    async fn who_uses_up_what_is_shared_leaves_others_what_is_their_own() {
        let shared = SharedIntake::new(2 * DRAUGHT as usize);
        let [greedy, modest] = [(); 2].map(|()| Intake::default());
        greedy.meter(OWN, &shared);
        modest.meter(OWN, &shared);
        assert_eq!(readable(&greedy).await, (OWN + 2 * DRAUGHT) as usize);
        assert_eq!(readable(&modest).await, OWN as usize);
    }

    #[tokio::test]
    async fn what_was_drawn_is_shared_again_when_its_connection_is_released_or_gone() {
        let shared = SharedIntake::new(DRAUGHT as usize);
        let intakes = [(); 3].map(|()| Intake::default());
        for intake in &intakes {
            intake.meter(OWN, &shared);
        }
        let [first, second, third] = intakes;
        assert_eq!(readable(&first).await, (OWN + DRAUGHT) as usize);
        first.release();
        assert_eq!(readable(&second).await, (OWN + DRAUGHT) as usize);
        drop(second);
        assert_eq!(readable(&third).await, (OWN + DRAUGHT) as usize);
    }

    #[tokio::test]
    async fn anything_may_be_read_of_a_connection_that_is_not_metered() {
        let intake = Intake::default();
        intake.meter(1, &SharedIntake::new(0));
        intake.release();
        let mut buffer = vec![0; 1 << 20];
        let mut reader = intake.reader(tokio::io::repeat(0));
        assert!(reader.read_exact(&mut buffer).await.is_ok());
    }
}
