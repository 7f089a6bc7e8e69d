//! JSON texts (in quotes), as `JSON.stringify` writes them, to what they say. A whole JSON reader is
//! not needed here and would weigh a tenth of what a volunteer has to load.

/// What a JSON text says; `None` for anything that `JSON.stringify` does not write.
pub(super) fn unquoted(json: &str) -> Option<String> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(char) = rest.next() {
        match char {
            '\\' => text.push(escaped(&mut rest)?),
            '"' | '\0'..'\x20' => return None,
            plain => text.push(plain),
        }
    }
    Some(text)
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => code_unit(rest)?,
        plain @ ('"' | '\\') => plain,
        _ => return None,
    })
}

/// Half of a surrogate pair is no character: only those that stand alone are written this way.
fn code_unit(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + rest.next()?.to_digit(16)?;
    }
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_writer_of_json_escapes_is_read_back() {
        let text: String = (0..0x3000_u32)
            .chain([0x1f600, 0xffff])
            .filter_map(char::from_u32)
            .collect();
        let json = serde_json::to_string(&text).unwrap();
        assert_eq!(unquoted(&json).as_deref(), Some(text.as_str()));
    }

    #[test]
    fn a_lone_surrogate_becomes_a_replacement() {
        assert_eq!(unquoted(r#""a\ud800b""#).as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn anything_else_is_no_text() {
        for bad in [
            "",
            "\"",
            "a",
            "\"a",
            "\"a\"b\"",
            "\"\\",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "7",
        ] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
    }
}
