//! Section 2: the forms of the client key.

use serde_json::json;

use super::KEY;
use crate::answer::Expect;
use crate::row::{Row, Stage, get, row};

/// The bytes of [`KEY`] in base64url.
const BASE64URL: &str = "ASNFZ4mrze8BI0VniavN7w";
/// And as words.
const WORDS: &str = "abuse boss fly battle rubber wasp afraid hamster guide essence vibrant tattoo";
/// A key that is no text of bytes, because its length is odd and it has spaces.
const TEXT: &str = "a text that is a key!";

fn check(claim: &str, headers: &[(&str, &str)], is_good: bool) -> Row {
    let mut ask = get("/api/auth/check").anonymous();
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    let expect = if is_good {
        Expect::json(200, json!({"ok": true}))
    } else {
        Expect::error(401, "Unauthorized client token.")
    };
    row("2", claim, ask, expect)
}

fn bearer(claim: &str, key: &str, is_good: bool) -> Row {
    check(
        claim,
        &[("authorization", &format!("Bearer {key}"))],
        is_good,
    )
}

/// A key in hexadecimal.
pub(crate) fn of_bytes() -> Stage {
    let (first_word, rest) = WORDS.split_once(' ').expect("words");
    let rows = vec![
        bearer("1: the exact text", KEY, true),
        bearer("2: hex of the same bytes", &KEY.to_uppercase(), true),
        bearer("2: base64url of the same bytes", BASE64URL, true),
        bearer("3: the mnemonic", WORDS, true),
        bearer("3: in capital letters", &WORDS.to_uppercase(), true),
        bearer("3: with more white space", &WORDS.replace(' ', "   "), true),
        bearer(
            "3: with a wrong checksum",
            &format!("{rest} {first_word}"),
            false,
        ),
        bearer("3: a word short", rest, false),
        bearer(
            "other bytes in base64url",
            &format!("B{}", &BASE64URL[1..]),
            false,
        ),
        bearer(
            "base64url that is not canonical",
            &format!("{}x", &BASE64URL[..21]),
            false,
        ),
        bearer("base64url with padding", &format!("{BASE64URL}=="), false),
        bearer("other bytes in hex", &format!("f{}", &KEY[1..]), false),
        bearer("an empty key", "", false),
        check("no header", &[], false),
        check(
            "Bearer in any case",
            &[("authorization", &format!("bEARER {KEY}"))],
            true,
        ),
        check(
            "no other scheme",
            &[("authorization", &format!("Basic {KEY}"))],
            false,
        ),
        check("no scheme", &[("authorization", KEY)], false),
        check("x-client-token", &[("x-client-token", KEY)], true),
        check(
            "x-client-token in another form",
            &[("X-Client-Token", WORDS)],
            true,
        ),
        check(
            "x-client-token that is wrong",
            &[("x-client-token", "wrong")],
            false,
        ),
        check(
            "the bearer wins where it is wrong",
            &[("authorization", "Bearer wrong"), ("x-client-token", KEY)],
            false,
        ),
        check(
            "the bearer wins where it is right",
            &[
                ("authorization", &format!("Bearer {KEY}")),
                ("x-client-token", "wrong"),
            ],
            true,
        ),
    ];
    Stage {
        name: "a key of bytes",
        settings: vec![("CLIENT_API_KEY", KEY.into())],
        rows,
    }
}

/// A key that is text.
pub(crate) fn of_text() -> Stage {
    Stage {
        name: "a key of text",
        settings: vec![("CLIENT_API_KEY", TEXT.into())],
        rows: vec![
            bearer("1: the exact text", TEXT, true),
            bearer("1: no other letter case", &TEXT.to_uppercase(), false),
            check("1: in the other header", &[("x-client-token", TEXT)], true),
        ],
    }
}
