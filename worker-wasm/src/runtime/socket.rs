//! The WebSocket. It says `Opened`, then frames, then `Closed` once; what the server sends after it
//! was closed here is not heard.

use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8Array};
use shared::wire::SUBPROTOCOL;
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, MessageEvent, WebSocket};

use super::driver::{Emit, Event};

/// What a socket says.
#[derive(Debug)]
pub(super) enum SocketEvent {
    Opened,
    Frame(Vec<u8>),
    Closed,
}

/// An open, or opening, connection.
#[derive(Debug)]
pub(super) struct Socket {
    socket: WebSocket,
    _opened: Closure<dyn FnMut()>,
    _closed: Closure<dyn FnMut()>,
    _message: Closure<dyn FnMut(MessageEvent)>,
}

impl Socket {
    /// Begins to connect; `None` where the browser refuses even that.
    pub(super) fn open(url: &str, emit: &Emit) -> Option<Self> {
        let socket = WebSocket::new_with_str(url, SUBPROTOCOL).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let opened = plain(emit, || SocketEvent::Opened);
        let closed = plain(emit, || SocketEvent::Closed);
        let emit = Rc::clone(emit);
        let message = Closure::new(move |event: MessageEvent| {
            // A text is no message of the protocol; an empty frame is none either.
            let bytes = event.data().dyn_into::<ArrayBuffer>();
            let frame = bytes.map_or_else(|_| Vec::new(), |it| Uint8Array::new(&it).to_vec());
            emit(Event::Socket(SocketEvent::Frame(frame)));
        });
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        Some(Self {
            socket,
            _opened: opened,
            _closed: closed,
            _message: message,
        })
    }

    /// Sends a binary message. One that cannot be sent is lost with the connection.
    pub(super) fn send(&self, frame: &[u8]) {
        let _ = self.socket.send_with_u8_array(frame);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        self.socket.set_onmessage(None);
        let _ = self.socket.close();
    }
}

fn plain(emit: &Emit, event: impl Fn() -> SocketEvent + 'static) -> Closure<dyn FnMut()> {
    let emit = Rc::clone(emit);
    Closure::new(move || emit(Event::Socket(event())))
}
