//! What hyper answers by itself, said in our words.
//!
//! A head that cannot be read never reaches a route: hyper answers it with a status alone and ends
//! the connection. Here such an answer gets what every answer has: an `error` text and the security
//! headers. It is known by coming when no request waits for one. Its sender is read on for a moment,
//! or the system would tell it that the connection broke instead of what was wrong.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Of what a sender goes on to send, this much is dropped.
const MAX_DROPPED_BYTES: usize = 8 * 1024 * 1024;
/// And for this long.
const MAX_DROPPING: Duration = Duration::from_secs(2);

/// Whether somebody waits for an answer on a connection.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Requests whose answer is not complete.
    open: AtomicUsize,
    /// No request waits, and all answers are sent.
    is_quiet: AtomicBool,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Shared {
            open: AtomicUsize::new(0),
            is_quiet: AtomicBool::new(true),
        }))
    }
}

impl Turns {
    /// A request is there. Its answer is complete when the turn is dropped.
    pub(super) fn begin(&self) -> Turn {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.is_quiet.store(false, Ordering::Relaxed);
        Turn(self.clone())
    }

    fn flushed(&self) {
        let is_quiet = self.0.open.load(Ordering::Relaxed) == 0;
        self.0.is_quiet.store(is_quiet, Ordering::Relaxed);
    }

    fn is_quiet(&self) -> bool {
        self.0.is_quiet.load(Ordering::Relaxed)
    }
}

/// One request that is being answered.
#[derive(Debug)]
pub(super) struct Turn(Turns);

impl Turn {
    /// A turn that never ends: the connection belongs to another protocol from here on.
    pub(super) fn handed_over(self) -> Self {
        self.0.0.open.fetch_add(1, Ordering::Relaxed);
        self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, complete when it is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    _turn: Turn,
}

impl Answer {
    pub(super) const fn new(body: Body, turn: Turn) -> Self {
        Self { body, _turn: turn }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Makes a whole answer of the head that hyper wrote.
pub(super) type Rephrase = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A socket on which hyper's own answers are replaced.
pub(super) struct OwnWords<S> {
    socket: S,
    turns: Turns,
    rephrase: Arc<Rephrase>,
    /// What is said in place of hyper's answer, as far as it is not sent.
    unsent: Option<Bytes>,
    /// Time to read on for, once all is sent.
    dropping: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S: AsyncWrite + Unpin> OwnWords<S> {
    pub(super) fn new(socket: S, turns: Turns, rephrase: Arc<Rephrase>) -> Self {
        Self {
            socket,
            turns,
            rephrase,
            unsent: None,
            dropping: None,
        }
    }

    /// Takes what hyper says by itself; nothing of it is sent.
    fn replace(&mut self, head: &[u8]) {
        if self.unsent.is_none() {
            self.unsent = Some((self.rephrase)(head).into());
        }
    }

    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(unsent) = self.unsent.as_mut().filter(|unsent| !unsent.is_empty()) {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(context, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            drop(unsent.split_to(sent));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> OwnWords<S> {
    /// Reads and drops until the sender ends or has sent enough.
    fn poll_drop_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (limit, dropped) = self
            .dropping
            .get_or_insert_with(|| (Box::pin(sleep(MAX_DROPPING)), 0));
        let mut space = [0; 4096];
        while *dropped < MAX_DROPPED_BYTES && limit.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *dropped += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncWrite + AsyncRead + Unpin> AsyncWrite for OwnWords<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        if self.turns.is_quiet() {
            self.replace(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if self.turns.is_quiet() {
            let head: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.replace(&head);
            return Poll::Ready(Ok(head.len()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_unsent(context))?;
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.turns.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_unsent(context))?;
        ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
        if self.unsent.is_some() {
            ready!(self.poll_drop_rest(context));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}
