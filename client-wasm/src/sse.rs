//! Server-Sent Events, read from chunks of bytes that are cut anywhere (WHATWG HTML, section 9.2.6).
//!
//! Lives here: from bytes to events. Not here: reconnecting, and what an event means. The `id` and
//! `retry` fields are passed over: a stream of this server starts with a snapshot every time, and
//! the page has delays of its own.

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name; `message` where it has none.
    pub event: String,
    /// Its data; lines are joined by line feeds.
    pub data: String,
}

/// What has come of a stream and is no event yet. Feed it chunks in order.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: String,
    data: Option<String>,
    has_line: bool,
    after_cr: bool,
}

impl Parser {
    /// The events that `chunk` completes. O(n) in the chunk.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for &byte in chunk {
            let is_second_half = std::mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                b'\n' if is_second_half => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    messages.extend(self.end_line());
                }
                _ => self.line.push(byte),
            }
        }
        messages
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.has_line, true);
        let line = line
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| is_first)
            .unwrap_or(&line);
        if line.is_empty() {
            return self.dispatch();
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            "data" => self.add_data(value),
            // Comments, and fields that nothing here needs.
            _ => {}
        }
        None
    }

    fn add_data(&mut self, value: &str) {
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
    }

    /// An event without data is none.
    fn dispatch(&mut self) -> Option<Message> {
        let event = std::mem::take(&mut self.event);
        let data = self.data.take().filter(|data| !data.is_empty())?;
        Some(Message {
            event: if event.is_empty() {
                "message".to_owned()
            } else {
                event
            },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let messages = chunks.iter().flat_map(|chunk| parser.push(chunk));
        messages
            .map(|message| (message.event, message.data))
            .collect()
    }

    fn check(stream: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|&(event, data)| (event.to_owned(), data.to_owned()))
            .collect();
        assert_eq!(read(&[stream.as_bytes()]), expected, "{stream:?}");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), expected, "{stream:?} byte by byte");
    }

    #[test]
    fn events_have_a_name_and_data() {
        check(
            "event: snapshot\ndata: {\"a\":1}\n\ndata:2\n\n",
            &[("snapshot", "{\"a\":1}"), ("message", "2")],
        );
    }

    #[test]
    fn lines_end_with_any_of_the_three_line_ends() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = ["event:x", "data:1", "data:2", "", "data:3", "", ""].join(end);
            check(&stream, &[("x", "1\n2"), ("message", "3")]);
        }
    }

    #[test]
    fn comments_and_unknown_fields_are_passed_over() {
        check(
            ": keep-alive\n\n:\nid: 7\nretry: 10\nother\ndata: x\n\n:\n\n",
            &[("message", "x")],
        );
    }

    #[test]
    fn only_one_space_after_the_colon_is_dropped() {
        check("data:  two\ndata: a: b\n\n", &[("message", " two\na: b")]);
    }

    #[test]
    fn an_event_without_data_is_none_and_leaves_no_name_behind() {
        check(
            "event: x\n\ndata: 1\n\nevent: y\ndata\n\n",
            &[("message", "1")],
        );
    }

    #[test]
    fn an_unfinished_event_is_kept_until_it_is_whole() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"data: 1\n"), []);
        assert_eq!(parser.push(b"data: 2"), []);
        assert_eq!(parser.push(b"\n\n").len(), 1);
    }

    #[test]
    fn a_byte_order_mark_stands_only_at_the_start() {
        check(
            "\u{feff}data: 1\n\n\u{feff}data: 2\n\n",
            &[("message", "1")],
        );
    }

    #[test]
    fn what_is_no_utf_8_is_replaced() {
        assert_eq!(
            read(&[b"data: \xff\n\n"]),
            [("message".to_owned(), "\u{fffd}".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_does_not_matter(
            lines in prop::collection::vec("(event: |data: |: |)[aé🦀:]{0,4}", 0..12),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let stream: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line, *end]).collect();
            let bytes = stream.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&chunks), read(&[bytes]));
        }
    }
}
