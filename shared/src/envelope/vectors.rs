//! Golden vectors of the envelope: how they are made, and the check that every verifier must pass.
//!
//! The vectors pin the bytes: a change here that alters `testdata/envelope.json` is a change of the
//! protocol. The check runs natively and as wasm32; a browser's WebCrypto checks the same file.

use serde::{Deserialize, Serialize};

use super::{
    AssignLeaf, Envelope, Identity, KeyRing, Leaf, LeafJob, NonceCache, RunJsTask, Task, TimeLeaf,
    VerifyingKey, jws, seal,
};
use crate::ids::{Digest32, JobId, Nonce, SessionId, ShardIndex, WorkerId};
use crate::merkle::Hash;
use crate::plan::{Plan, RandomMode, Sharding};
use crate::time::UnixMillis;
use crate::wire::{ProtocolVersion, SignedLeaf};

/// The vectors as they are in the repository.
pub const ENVELOPE_JSON: &str = include_str!("../../testdata/envelope.json");
/// Keys of the tests: `{signer: {pkcs8, spki}, other: {…}}`.
pub const KEYS_JSON: &str = include_str!("../../testdata/keys.json");

/// Two public keys of the tests with the function that signs for each.
#[allow(missing_debug_implementations, reason = "holds functions")]
pub struct TestSigners<'s> {
    /// SPKI of the key that verifiers trust.
    pub trusted: VerifyingKey,
    /// Signs for it.
    pub sign: &'s dyn Fn(&[u8]) -> Vec<u8>,
    /// A key that nobody trusts.
    pub other: VerifyingKey,
    /// Signs for it.
    pub sign_other: &'s dyn Fn(&[u8]) -> Vec<u8>,
}

/// A file of vectors.
#[derive(Debug, Serialize, Deserialize)]
pub struct Vectors {
    spki: String,
    kid: String,
    now: u64,
    worker: String,
    session: String,
    cases: Vec<Case>,
}

/// One envelope and what must come of it.
#[derive(Debug, Serialize, Deserialize)]
struct Case {
    name: String,
    /// `fresh`, `time`, or the reason of the refusal.
    expect: String,
    leaf: String,
    index: u32,
    path: Vec<String>,
    root: String,
}

const NOW: UnixMillis = UnixMillis(1_800_000_000_500);

fn me() -> Identity {
    Identity {
        worker: "worker-golden".parse().expect("a valid worker id"),
        session: SessionId::from_bytes([0x5e; 16]),
    }
}

/// An assignment that is fresh at the vectors' time, for the vectors' worker.
fn good_leaf(nonce: u8) -> AssignLeaf {
    let plan = Sharding::new(1_000_000, 1_000).expect("a valid plan");
    let script = RunJsTask {
        code: Digest32::of(b"return 1"),
        args: Digest32::of(b"{}"),
        plan: Plan::Sharded(plan),
        timeout_ms: 5_000,
        seed: 0x0123_4567_89ab_cdef,
        random: RandomMode::Seeded,
    };
    let job = |byte, task, shards| LeafJob {
        job: JobId::from_random([byte; 16]),
        task,
        shards,
    };
    AssignLeaf {
        version: ProtocolVersion::V1,
        worker: me().worker,
        session: me().session,
        nonce: Nonce::from_bytes([nonce; 16]),
        issued_at: UnixMillis(NOW.0 - 1_000),
        expires_at: UnixMillis(NOW.0 + 119_000),
        jobs: vec![
            job(
                1,
                Task::RunJs(script),
                (0..40).map(|i| (ShardIndex(i * 25), 1)).collect(),
            ),
            job(
                2,
                Task::Add {
                    a: -5,
                    b: 1_000_000_000,
                },
                vec![(ShardIndex(0), 3)],
            ),
        ],
    }
}

fn changed(nonce: u8, change: impl FnOnce(&mut AssignLeaf)) -> Leaf {
    let mut leaf = good_leaf(nonce);
    change(&mut leaf);
    Leaf::Assign(leaf)
}

/// Makes all vectors. The result depends on the keys alone: PKCS#1 v1.5 is deterministic.
pub fn generate(signers: &TestSigners<'_>) -> Vectors {
    let mut cases = Vec::new();
    honest_cases(signers, &mut cases);
    refused_leaves(signers, &mut cases);
    forged_cases(signers, &mut cases);
    Vectors {
        spki: signers.trusted.to_spki_b64(),
        kid: signers.trusted.kid().to_string(),
        now: NOW.0,
        worker: me().worker.to_string(),
        session: me().session.to_string(),
        cases,
    }
}

fn sealed(signers: &TestSigners<'_>, leaves: &[Leaf]) -> Vec<SignedLeaf> {
    let sign = |message: &[u8]| Ok::<_, std::convert::Infallible>((signers.sign)(message));
    seal(leaves, signers.trusted.kid(), sign).expect("a few leaves can be signed")
}

fn honest_cases(signers: &TestSigners<'_>, cases: &mut Vec<Case>) {
    let single = sealed(signers, &[Leaf::Assign(good_leaf(1))]);
    cases.push(Case::new("single leaf", "fresh", &single[0]));
    let five: Vec<Leaf> = (2..7).map(|nonce| Leaf::Assign(good_leaf(nonce))).collect();
    for (signed, place) in sealed(signers, &five).iter().zip(0..) {
        cases.push(Case::new(&format!("leaf {place} of five"), "fresh", signed));
    }
    let time = TimeLeaf {
        challenge: Nonce::from_bytes([7; 16]),
        now: NOW,
    };
    cases.push(Case::new(
        "time",
        "time",
        &sealed(signers, &[Leaf::Time(time)])[0],
    ));
}

fn refused_leaves(signers: &TestSigners<'_>, cases: &mut Vec<Case>) {
    let mut add = |name: &str, expect: &str, leaf: Leaf| {
        cases.push(Case::new(name, expect, &sealed(signers, &[leaf])[0]));
    };
    let other_worker: WorkerId = "worker-other".parse().expect("a valid worker id");
    add(
        "another worker",
        "ForeignWorker",
        changed(20, |leaf| leaf.worker = other_worker),
    );
    add(
        "another session",
        "ForeignSession",
        changed(21, |leaf| {
            leaf.session = SessionId::from_bytes([0; 16]);
        }),
    );
    add(
        "expired",
        "Expired",
        changed(22, |leaf| leaf.expires_at = NOW),
    );
    add(
        "from the future",
        "FromTheFuture",
        changed(23, |leaf| {
            leaf.issued_at = UnixMillis(NOW.0 + 30_001);
            leaf.expires_at = UnixMillis(NOW.0 + 90_000);
        }),
    );
    add(
        "just within the tolerated skew",
        "fresh",
        changed(24, |leaf| {
            leaf.issued_at = UnixMillis(NOW.0 + 30_000);
            leaf.expires_at = UnixMillis(NOW.0 + 90_000);
        }),
    );
    add(
        "valid too long",
        "LifetimeTooLong",
        changed(25, |leaf| {
            leaf.expires_at = UnixMillis(leaf.issued_at.0 + 900_001);
        }),
    );
    add(
        "another protocol version",
        "WrongVersion",
        changed(26, |leaf| {
            leaf.version = ProtocolVersion(2);
        }),
    );
    add(
        "a shard that the plan does not have",
        "Malformed",
        changed(27, |leaf| {
            leaf.jobs[0].shards[0].0 = ShardIndex(1_000);
        }),
    );
    add(
        "attempt number 0",
        "Malformed",
        changed(28, |leaf| leaf.jobs[0].shards[0].1 = 0),
    );
    add(
        "no work",
        "Malformed",
        changed(29, |leaf| leaf.jobs.clear()),
    );
    add(
        "an operand out of range",
        "Malformed",
        changed(30, |leaf| {
            leaf.jobs[1].task = Task::Add {
                a: 1_000_000_001,
                b: 0,
            };
        }),
    );
}

fn forged_cases(signers: &TestSigners<'_>, cases: &mut Vec<Case>) {
    let honest = &sealed(
        signers,
        &[Leaf::Assign(good_leaf(40)), Leaf::Assign(good_leaf(41))],
    )[1];
    let mut add = |name: &str, expect: &str, change: &dyn Fn(&mut SignedLeaf)| {
        let mut forged = honest.clone();
        change(&mut forged);
        cases.push(Case::new(name, expect, &forged));
    };
    add("one bit of the leaf flipped", "NotInTree", &|it| {
        it.leaf[40] ^= 1
    });
    add("leaf truncated", "NotInTree", &|it| it.leaf.truncate(60));
    add("one bit of the path flipped", "NotInTree", &|it| {
        it.path[0].0[31] ^= 0x80
    });
    add("path too short", "NotInTree", &|it| it.path.clear());
    add("path too long", "NotInTree", &|it| {
        it.path.push(Hash([0; 32]))
    });
    add("another place", "NotInTree", &|it| it.index = 0);
    add("a place outside the tree", "NotInTree", &|it| it.index = 2);
    add("leaf too long", "Malformed", &|it| {
        it.leaf.resize(40_000, 0)
    });
    add("no signature", "Malformed", &|it| {
        it.root.truncate(it.root.rfind('.').unwrap_or(0))
    });
    add("signature of other bytes", "BadSignature", &|it| {
        it.root = with_signature(&it.root, &(signers.sign)(b"something else"));
    });
    add(
        "signature by an unknown key under a known key's id",
        "BadSignature",
        &|it| {
            let signed = it
                .root
                .rsplit_once('.')
                .map_or("", |(signed, _)| signed)
                .to_owned();
            it.root = with_signature(&it.root, &(signers.sign_other)(signed.as_bytes()));
        },
    );
    add("empty signature", "BadSignature", &|it| {
        it.root = with_signature(&it.root, &[])
    });
    add("token cut in the payload", "Malformed", &|it| {
        it.root.truncate(120)
    });
    for (name, header, expect) in [
        (
            "alg none",
            r#"{"alg":"none","typ":"cluster-batch+jws","kid":"KID"}"#,
            "WrongAlgorithm",
        ),
        (
            "alg HS256",
            r#"{"alg":"HS256","typ":"cluster-batch+jws","kid":"KID"}"#,
            "WrongAlgorithm",
        ),
        (
            "another purpose",
            r#"{"alg":"RS256","typ":"cluster-key+jws","kid":"KID"}"#,
            "WrongType",
        ),
        (
            "header not to the letter",
            r#"{"typ":"JWT","alg":"RS256","kid":"KID"}"#,
            "WrongType",
        ),
        ("header is no JSON", "KID", "Malformed"),
    ] {
        let header = header.replace("KID", &signers.trusted.kid().to_string());
        add(name, expect, &|it| {
            it.root = with_header(&it.root, &header, signers.sign)
        });
    }
    add("unknown key", "UnknownKey", &|it| {
        let header = format!(
            r#"{{"alg":"RS256","typ":"cluster-batch+jws","kid":"{}"}}"#,
            signers.other.kid()
        );
        it.root = with_header(&it.root, &header, signers.sign_other);
    });
    for (name, payload, expect) in [
        (
            "claims of another version",
            r#"{"v":2,"root":"ROOT","size":2,"iat":1,"exp":9999999999}"#,
            "WrongType",
        ),
        (
            "claims that end before the leaf",
            r#"{"v":1,"root":"ROOT","size":2,"iat":1,"exp":1800000001}"#,
            "LifetimeTooLong",
        ),
    ] {
        add(name, expect, &|it| {
            it.root = with_payload(&it.root, payload, signers)
        });
    }
    add("an unknown claim", "Malformed", &|it| {
        let payload = r#"{"v":1,"root":"ROOT","size":2,"iat":1,"exp":9999999999,"more":1}"#;
        it.root = with_payload(&it.root, payload, signers);
    });
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn with_signature(token: &str, signature: &[u8]) -> String {
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    format!("{signed}.{}", base64url(signature))
}

fn with_header(token: &str, header: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> String {
    let payload = token.split('.').nth(1).unwrap_or("");
    let signed = format!("{}.{payload}", base64url(header.as_bytes()));
    format!("{signed}.{}", base64url(&sign(signed.as_bytes())))
}

fn with_payload(token: &str, payload: &str, signers: &TestSigners<'_>) -> String {
    let keys = KeyRing::new(signers.trusted.clone());
    let claims = jws::open(token, super::seal::ROOT_TYPE, &keys).expect("an honest token");
    let payload = payload.replace("ROOT", claims.text("root").unwrap_or(""));
    let header = token.split('.').next().unwrap_or("");
    let signed = format!("{header}.{}", base64url(payload.as_bytes()));
    format!("{signed}.{}", base64url(&(signers.sign)(signed.as_bytes())))
}

impl Case {
    fn new(name: &str, expect: &str, signed: &SignedLeaf) -> Self {
        Self {
            name: name.to_owned(),
            expect: expect.to_owned(),
            leaf: to_hex(&signed.leaf),
            index: signed.index,
            path: signed.path.iter().map(|hash| to_hex(&hash.0)).collect(),
            root: signed.root.clone(),
        }
    }

    fn signed(&self) -> Option<SignedLeaf> {
        let path = self
            .path
            .iter()
            .map(|hash| Some(Hash(from_hex(hash)?.try_into().ok()?)));
        Some(SignedLeaf {
            leaf: from_hex(&self.leaf)?,
            index: self.index,
            path: path.collect::<Option<Vec<Hash>>>()?,
            root: self.root.clone(),
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

impl Vectors {
    /// Who verifies, and with which key.
    fn verifier(&self) -> Result<(KeyRing, Identity), String> {
        let key = VerifyingKey::from_spki_b64(&self.spki).map_err(|error| error.to_string())?;
        if key.kid().to_string() != self.kid {
            return Err("the key has another id".to_owned());
        }
        let worker = self.worker.parse();
        let session = self.session.parse();
        let me = Identity {
            worker: worker.map_err(|_| "not a worker id".to_owned())?,
            session: session.map_err(|_| "not a session id".to_owned())?,
        };
        Ok((KeyRing::new(key), me))
    }

    fn check(&self, keys: &KeyRing, me: &Identity) -> Result<(), String> {
        let mut seen = NonceCache::new(self.cases.len());
        for case in &self.cases {
            let signed = case
                .signed()
                .ok_or_else(|| format!("{}: not hex", case.name))?;
            let got = outcome(signed, keys, me, UnixMillis(self.now), &mut seen);
            if got != case.expect {
                return Err(format!("{}: {got} instead of {}", case.name, case.expect));
            }
        }
        Ok(())
    }

    /// The vectors as they are written to the repository.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("vectors are texts and numbers");
        text.push('\n');
        text
    }
}

/// Checks every case of a file of vectors; returns their number, or the first that failed.
///
/// # Errors
/// A sentence about the case that came out otherwise than it says.
pub fn check(json: &str) -> Result<usize, String> {
    let vectors: Vectors = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let (keys, me) = vectors.verifier()?;
    vectors.check(&keys, &me)?;
    Ok(vectors.cases.len())
}

/// How often [`check_often`] checks.
pub const OFTEN: u32 = 64;

/// Checks the first case of a file [`OFTEN`] times, as a worker checks a frame, to be timed.
///
/// # Errors
/// A sentence about what is wrong with the file, or how the case came out.
pub fn check_often(json: &str) -> Result<(), String> {
    let mut vectors: Vectors = serde_json::from_str(json).map_err(|error| error.to_string())?;
    vectors.cases.truncate(1);
    let (keys, me) = vectors.verifier()?;
    for _ in 0..OFTEN {
        vectors.check(&keys, &me)?;
    }
    Ok(())
}

fn outcome(
    signed: SignedLeaf,
    keys: &KeyRing,
    me: &Identity,
    now: UnixMillis,
    seen: &mut NonceCache,
) -> String {
    let verified = match Envelope::new(signed).verify(keys) {
        Ok(verified) => verified,
        Err(error) => return format!("{:?}", error.reason()),
    };
    if verified.time().is_ok() {
        return "time".to_owned();
    }
    match verified.check_fresh(now, me, seen) {
        Ok(_) => "fresh".to_owned(),
        Err(error) => format!("{:?}", error.reason()),
    }
}
