//! Section 4: invites, their links and their pictures.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};

use super::shapes;
use crate::answer::Expect;
use crate::pattern::Known;
use crate::row::{Act, Ask, Row, Stage, get, post, row, seen, step};

const PATH: &str = "/api/invites/worker";
const UNKNOWN: &str = "This invite link is not known. Check it, or ask for a new one.\n";
const EXPIRED: &str = "This invite has expired. Ask for a new one.\n";

fn make(body: Value) -> Ask {
    post(PATH, &body)
}

fn text<'k>(known: &'k Known, name: &str) -> &'k str {
    known[name].as_str().expect("a text")
}

/// What the token called `token` claims, and how it fits to the rest of its answer.
fn claims(known: &Known) -> Value {
    let token = text(known, "token");
    let payload = token
        .split('.')
        .nth(1)
        .and_then(|part| BASE64URL.decode(part).ok());
    let claims: Value = serde_json::from_slice(&payload.unwrap_or_default()).unwrap_or_default();
    let number = |name: &str| claims[name].as_i64().unwrap_or_default();
    let slug = text(known, "token-slug");
    let words = shared::mnemonic::word_list();
    let of_the_list = slug.split('-').filter(|word| words.contains(word));
    json!({
        "claims": claims, "lifetime": number("exp") - number("iat"),
        "endSeconds": number("exp") % 60 == seconds(text(known, "token-end")),
        "wordsOfTheList": of_the_list.count(), "phrase": slug.replace('-', " "),
    })
}

/// The seconds of a time of day.
fn seconds(time: &str) -> i64 {
    time.get(17..19)
        .and_then(|text| text.parse().ok())
        .unwrap_or(-1)
}

/// What a camera sees of the picture.
fn scanned(known: &Known) -> Value {
    let picture = text(known, "token-qr").trim_start_matches("data:image/png;base64,");
    let png = BASE64.decode(picture).expect("base64");
    let mut decoder = png::Decoder::new(Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a frame");
    let (width, height) = (info.width as usize, info.height as usize);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let (meta, text) = image.detect_grids()[0].decode().expect("a QR code");
    let dark = pixels
        .iter()
        .position(|pixel| *pixel < 128)
        .expect("something dark");
    let modules = meta.version.to_size() as f64;
    let left = (dark % width) as f64;
    let module = (width as f64 - 2.0 * left) / modules;
    json!({
        "width": width, "height": height, "text": text,
        // The format bits of level M are 00.
        "errorCorrection": meta.ecc_level, "margin": (left / module) as u64,
    })
}

/// A server of default settings.
pub(crate) fn stage() -> Stage {
    let mut rows = created();
    rows.extend(wishes());
    rows.extend(links("token"));
    rows.extend(ends());
    Stage {
        name: "invites",
        settings: vec![("SHORT_INVITE_MAX_ACTIVE", "100".into())],
        rows,
    }
}

fn created() -> Vec<Row> {
    let whole = || Expect::json(201, shapes::invite("token", 7, 8, 3600));
    let mut without_body = post(PATH, &json!({})).body("");
    without_body.headers.clear();
    vec![
        row("4", "the body is optional", without_body, whole()),
        row("4", "an invite", make(json!({})), whole()),
        seen(
            "2",
            "its token says what the contract says",
            Act::Decode(claims),
            Expect::seen(json!({
                "claims": {
                    "typ": "worker_invite", "jti": "<uuid>", "iat": "<int 1700000000..>",
                    "exp": "<int 1700003600..>", "label": null,
                    "+kid": "<like [0-9a-f]{64}>",
                },
                "lifetime": 3600, "endSeconds": true, "wordsOfTheList": 8, "phrase": "{token-phrase}",
            })),
        ),
        seen(
            "4",
            "its picture holds the phrase URL",
            Act::Decode(scanned),
            Expect::seen(json!({
                "width": 320, "height": 320, "text": "{base}/p/{token-slug}", "errorCorrection": 0,
                // Modules are whole pixels; what is left of the width is margin, too.
                "margin": "<int 1..2>",
            })),
        ),
        row(
            "4",
            "the origin is that of the Host header, and http without a proxy",
            make(json!({}))
                .header("host", "grid.example:81")
                .header("x-forwarded-proto", "https"),
            Expect::json(201, at("http://grid.example:81")),
        ),
    ]
}

/// An invite of a server that is known by another name.
fn at(origin: &str) -> Value {
    let text = shapes::invite("token", 7, 8, 3600).to_string();
    serde_json::from_str(&text.replace("{base}", origin)).expect("the same shape")
}

fn wishes() -> Vec<Row> {
    let lives = |claim: &str, ttl: Value, ttl_sec| {
        let body = shapes::invite("token", 7, 8, ttl_sec);
        row(
            "4",
            claim,
            make(json!({"ttlSec": ttl})),
            Expect::json(201, body),
        )
    };
    let refused = |claim: &str, body: Value, text: &str| {
        row("4", claim, make(body), Expect::error(400, text))
    };
    let bad_ttl = "ttlSec must be a positive integer.";
    let bad_label = "workerLabel must be a non-empty string up to 64 chars.";
    let label = "ä".repeat(64);
    let labelled = shapes::invite("token", 7, 8, 60);
    vec![
        lives("ttlSec is clamped from below", json!(1), 60),
        lives("ttlSec at its least", json!(60), 60),
        lives("ttlSec at its most", json!(86_400), 86_400),
        lives("ttlSec is clamped from above", json!(86_401), 86_400),
        refused("ttlSec 0", json!({"ttlSec": 0}), bad_ttl),
        refused("ttlSec below 0", json!({"ttlSec": -60}), bad_ttl),
        refused("ttlSec of a part", json!({"ttlSec": 60.5}), bad_ttl),
        refused("ttlSec as a text", json!({"ttlSec": "60"}), bad_ttl),
        refused("an empty label", json!({"workerLabel": ""}), bad_label),
        refused(
            "a label of 65 chars",
            json!({"workerLabel": "x".repeat(65)}),
            bad_label,
        ),
        refused(
            "a label that is no text",
            json!({"workerLabel": 7}),
            bad_label,
        ),
        refused("a list", json!([]), "Body must be a JSON object."),
        row(
            "4",
            "a label of 64 chars",
            make(json!({"workerLabel": label, "ttlSec": 60})),
            Expect::json(201, labelled),
        ),
        seen(
            "2",
            "which the token claims",
            Act::Decode(claims),
            Expect::seen(json!({
                "claims": {
                    "typ": "worker_invite", "jti": "<uuid>", "iat": "<int 1700000000..>",
                    "exp": "<int 1700000060..>", "label": label,
                    "+kid": "<like [0-9a-f]{64}>",
                },
                "lifetime": 60, "endSeconds": true, "wordsOfTheList": 8, "phrase": "{token-phrase}",
            })),
        ),
    ]
}

/// The remembered invite's links.
fn links(token: &str) -> Vec<Row> {
    let target = format!("/worker?invite={{{token}}}");
    let (code, slug) = (format!("{{{token}-code}}"), format!("{{{token}-slug}}"));
    let upper = |known: &Known| {
        json!({
            "code": text(known, "token-code").to_uppercase(),
            "slug": text(known, "token-slug").to_uppercase(),
        })
    };
    let leads =
        |claim: &str, path: String| row("4", claim, get(&path).anonymous(), Expect::found(&target));
    vec![
        leads("the short link", format!("/j/{code}")),
        leads("the phrase link", format!("/p/{slug}")),
        seen(
            "4",
            "in capital letters",
            Act::Decode(upper),
            Expect::seen(json!({"code": "<CODE := text>", "slug": "<SLUG := text>"})),
        ),
        leads("the short link in capital letters", "/J/{CODE}/".into()),
        leads("the phrase link in capital letters", "/P/{SLUG}/".into()),
        row(
            "4",
            "an unknown code",
            get("/j/0000").anonymous(),
            Expect::text(404, UNKNOWN),
        ),
        row(
            "4",
            "an unknown phrase",
            get("/p/no-such-phrase").anonymous(),
            Expect::text(404, UNKNOWN),
        ),
    ]
}

/// The oldest links go first, all of them with the expiry.
fn ends() -> Vec<Row> {
    let invite = Expect::json(201, shapes::invite("oldest", 7, 8, 3600));
    let newest = Expect::json(201, shapes::invite("newest", 7, 8, 3600));
    let leads = Expect::found("/worker?invite={oldest}");
    vec![
        row("4", "an invite", make(json!({})), invite),
        step("98 more", Act::Repeat(Box::new(make(json!({}))), 98)),
        row("4", "the hundredth", make(json!({})), newest),
        row(
            "4",
            "as many links are kept as is set",
            get("/j/{oldest-code}"),
            leads,
        ),
        step("one too many", Act::Repeat(Box::new(make(json!({}))), 1)),
        row(
            "4",
            "the oldest goes",
            get("/j/{oldest-code}"),
            Expect::text(404, UNKNOWN),
        ),
        row(
            "4",
            "and its phrase",
            get("/p/{oldest-slug}"),
            Expect::text(404, UNKNOWN),
        ),
        step("all of them expire", Act::ExpireInvites),
        row(
            "4",
            "an expired link",
            get("/j/{newest-code}"),
            Expect::text(410, EXPIRED),
        ),
        row(
            "4",
            "an expired phrase",
            get("/p/{newest-slug}"),
            Expect::text(410, EXPIRED),
        ),
    ]
}

/// Shorter codes and phrases, another lifetime, a base path, and a proxy that speaks https.
pub(crate) fn other_settings() -> Stage {
    let origin = "https://grid.example/Grid";
    let body = shapes::invite("token", 4, 3, 120).to_string();
    let body: Value =
        serde_json::from_str(&body.replace("{base}", origin)).expect("the same shape");
    let https = "max-age=31536000";
    let target = "/Grid/worker?invite={token}";
    let behind_proxy = make(json!({}))
        .header("host", "grid.example")
        .header("x-forwarded-proto", "https, http");
    Stage {
        name: "other invites",
        settings: vec![
            ("BASE_PATH", "/Grid".into()),
            ("TRUST_PROXY", "1".into()),
            ("WORKER_INVITE_TTL_SEC", "120".into()),
            ("SHORT_INVITE_CODE_LENGTH", "4".into()),
            ("WORKER_INVITE_PHRASE_WORDS", "3".into()),
        ],
        rows: vec![
            row(
                "4",
                "an invite as it is set up",
                behind_proxy,
                Expect::json(201, body).header("strict-transport-security", https),
            ),
            row(
                "4",
                "the location has the base path",
                get("/j/{token-code}"),
                Expect::found(target),
            ),
            row(
                "4",
                "that of the phrase, too",
                get("/p/{token-slug}"),
                Expect::found(target),
            ),
        ],
    }
}
