//! A socket that gives up on a peer which does not take what is written to it.
//!
//! Reading has no time limit here: how long to wait for what is known by who reads.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// Time in which a peer that lets us wait must take [`MIN_TAKEN_BYTES`], or all there is.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
const MIN_TAKEN_BYTES: usize = 16 * 1024;

/// A socket with its place among all connections.
#[derive(Debug)]
pub(super) struct TimedIo<S> {
    socket: S,
    stall: Option<Stall>,
    _permit: OwnedSemaphorePermit,
}

/// The peer lets us wait.
#[derive(Debug)]
struct Stall {
    /// Until when.
    limit: Pin<Box<Sleep>>,
    /// What it has taken since.
    taken_bytes: usize,
}

impl<S> TimedIo<S> {
    pub(super) const fn new(socket: S, permit: OwnedSemaphorePermit) -> Self {
        Self {
            socket,
            stall: None,
            _permit: permit,
        }
    }

    fn took(&mut self, bytes: usize) {
        if let Some(stall) = &mut self.stall {
            stall.taken_bytes += bytes;
            if stall.taken_bytes >= MIN_TAKEN_BYTES {
                self.stall = None;
            }
        }
    }

    /// What comes of a write that the socket did not take yet.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Result<usize>> {
        let stall = self.stall.get_or_insert_with(|| Stall {
            limit: Box::pin(sleep(STALL_TIMEOUT)),
            taken_bytes: 0,
        });
        ready!(stall.limit.as_mut().poll(context));
        Poll::Ready(Err(Error::from(ErrorKind::TimedOut)))
    }

    fn settle(
        &mut self,
        written: Poll<Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.took(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.wait(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.settle(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, parts);
        self.settle(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Asked for when all was written: nothing is waited for any more.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.stall = None;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::*;

    const BUFFER: usize = 1024;

    fn pair() -> (TimedIo<DuplexStream>, DuplexStream) {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (ours, theirs) = duplex(BUFFER);
        (TimedIo::new(ours, permit), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (mut ours, _theirs) = pair();
        let start = Instant::now();
        let written = ours.write_all(&[0; 2 * BUFFER]).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), STALL_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_trickle_is_given_up() {
        let (mut ours, mut theirs) = pair();
        let trickle = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let written = ours.write_all(&[0; 1024 * BUFFER]).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), STALL_TIMEOUT.as_secs());
        trickle.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_gets_all_and_a_pause_between_messages_is_no_stall() {
        let (mut ours, mut theirs) = pair();
        let reader = tokio::spawn(async move {
            let (mut total, mut buffer) = (0, [0; BUFFER]);
            loop {
                match theirs.read(&mut buffer).await.unwrap() {
                    0 => return total,
                    bytes => total += bytes,
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        for _ in 0..3 {
            ours.write_all(&[0; 64 * BUFFER]).await.unwrap();
            ours.flush().await.unwrap();
            tokio::time::sleep(3 * STALL_TIMEOUT).await;
        }
        drop(ours);
        assert_eq!(reader.await.unwrap(), 3 * 64 * BUFFER);
    }
}
