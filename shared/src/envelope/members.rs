//! What tokens hold: flat JSON objects of texts and whole numbers.
//!
//! Reads what it writes and nothing more: no blanks, no escapes, no nesting, no member twice. A
//! general JSON reader would take more, none of which we send, and would be a quarter of what a
//! volunteer's browser has to load before it can verify anything.

/// The members of an object, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Members(Vec<(String, Value)>);

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Number(u64),
}

impl Members {
    /// Adds a text, which needs no escape: printable ASCII without `"` and `\`.
    pub(super) fn with_text(mut self, name: &str, text: &str) -> Self {
        debug_assert!(text.bytes().all(is_plain), "{name} would need an escape");
        self.0.push((name.into(), Value::Text(text.into())));
        self
    }

    /// Adds a number.
    pub(super) fn with_number(mut self, name: &str, number: u64) -> Self {
        self.0.push((name.into(), Value::Number(number)));
        self
    }

    /// The object as JSON.
    pub(super) fn to_json(&self) -> String {
        let mut json = String::from("{");
        for (name, value) in &self.0 {
            if json.len() > 1 {
                json.push(',');
            }
            push_quoted(&mut json, name);
            json.push(':');
            match value {
                Value::Text(text) => push_quoted(&mut json, text),
                Value::Number(number) => json.push_str(&number.to_string()),
            }
        }
        json.push('}');
        json
    }

    /// Reads an object; `None` for anything that [`Members::to_json`] does not write.
    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        let mut rest = std::str::from_utf8(json).ok()?.strip_prefix('{')?;
        let mut members = Self::default();
        loop {
            let (name, value) = take_text(rest)?;
            let (value, after) = take_value(value.strip_prefix(':')?)?;
            if members.get(name).is_some() {
                return None;
            }
            members.0.push((name.into(), value));
            match after {
                "}" => return Some(members),
                _ => rest = after.strip_prefix(',')?,
            }
        }
    }

    /// The text under `name`.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        }
    }

    /// The number under `name`.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        }
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }
}

fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    json.push_str(text);
    json.push('"');
}

fn take_value(json: &str) -> Option<(Value, &str)> {
    if json.starts_with('"') {
        let (text, rest) = take_text(json)?;
        return Some((Value::Text(text.into()), rest));
    }
    let end = json.find(|char: char| !char.is_ascii_digit())?;
    let (digits, rest) = json.split_at(end);
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let number = digits.parse().ok().filter(|_| is_canonical)?;
    Some((Value::Number(number), rest))
}

fn take_text(json: &str) -> Option<(&str, &str)> {
    let (text, rest) = json.strip_prefix('"')?.split_once('"')?;
    text.bytes().all(is_plain).then_some((text, rest))
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_is_json() {
        let members = Members::default()
            .with_text("alg", "RS256")
            .with_number("size", u64::MAX)
            .with_number("v", 0);
        let json = members.to_json();
        assert_eq!(json, r#"{"alg":"RS256","size":18446744073709551615,"v":0}"#);
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
        let read = Members::from_json(json.as_bytes()).unwrap();
        assert_eq!(read, members);
        assert_eq!(read.text("alg"), Some("RS256"));
        assert_eq!(read.number("size"), Some(u64::MAX));
        assert_eq!((read.number("alg"), read.text("v")), (None, None));
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "{}",
            "{",
            "[]",
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":-1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a": 1}"#,
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a":"\n"}"#,
            r#"{"a":"ä"}"#,
            r#"{"a":1,"a":1}"#,
            r#"{a:1}"#,
        ] {
            assert_eq!(Members::from_json(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Members::from_json(b"{\"a\":\"\xff\"}"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_written_the_same(json in r#"\{("[ab]":("[a-c]{0,2}"|[0-9]{1,3}),?){0,3}\}"#) {
            if let Some(members) = Members::from_json(json.as_bytes()) {
                proptest::prop_assert_eq!(members.to_json(), json);
            }
        }
    }
}
