//! What no verifier may get wrong: forgeries, age, replay, time.

use std::convert::Infallible;

use proptest::prelude::*;

use super::test_signers;
use super::vectors::{self, TestSigners};
use super::*;
use crate::ids::{Digest32, JobId, Nonce, SessionId, ShardIndex};
use crate::time::{Millis, Reading};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn me() -> Identity {
    Identity {
        worker: "worker-1".parse().unwrap(),
        session: SessionId::from_bytes([1; 16]),
    }
}

fn add_leaf(nonce: u8, shards: u32) -> AssignLeaf {
    let job = |place: u32| LeafJob {
        job: JobId::from_random([place as u8; 16]),
        task: Task::Add {
            a: 1,
            b: i64::from(place),
        },
        shards: vec![(ShardIndex(0), 1)],
    };
    AssignLeaf {
        version: ProtocolVersion::V1,
        worker: me().worker,
        session: me().session,
        nonce: Nonce::from_bytes([nonce; 16]),
        issued_at: NOW,
        expires_at: NOW.plus(120_000),
        jobs: (0..shards).map(job).collect(),
    }
}

fn script_leaf(code: &str, args: &str, shards: u64) -> AssignLeaf {
    let plan = crate::plan::Sharding::new(1_000, 10).unwrap();
    let task = RunJsTask {
        code: Digest32::of(code.as_bytes()),
        args: Digest32::of(args.as_bytes()),
        plan: crate::plan::Plan::Sharded(plan),
        timeout_ms: 0,
        seed: u64::MAX,
        random: crate::plan::RandomMode::Seeded,
    };
    let jobs = vec![LeafJob {
        job: JobId::from_random([9; 16]),
        task: Task::RunJs(task),
        shards: (0..shards).map(|shard| (ShardIndex(shard), 1)).collect(),
    }];
    AssignLeaf {
        jobs,
        ..add_leaf(0, 0)
    }
}

fn sealed(signers: &TestSigners<'_>, leaves: &[Leaf]) -> Vec<SignedLeaf> {
    let sign = |message: &[u8]| Ok::<_, Infallible>((signers.sign)(message));
    seal(leaves, signers.trusted.kid(), sign).unwrap()
}

fn keys(signers: &TestSigners<'_>) -> KeyRing {
    KeyRing::new(signers.trusted.clone())
}

fn assignment(leaf: AssignLeaf) -> Assignment {
    test_signers::with(|signers| {
        let signed = sealed(signers, &[Leaf::Assign(leaf)]).remove(0);
        let verified = Envelope::new(signed).verify(&keys(signers)).unwrap();
        verified
            .check_fresh(NOW, &me(), &mut NonceCache::new(4))
            .unwrap()
            .into_assignment()
    })
}

#[test]
fn golden_vectors_come_out_as_they_say() {
    assert!(vectors::check(vectors::ENVELOPE_JSON).unwrap() > 30);
}

#[test]
fn golden_vectors_are_what_this_code_signs() {
    let made = test_signers::with(|signers| vectors::generate(signers).to_json());
    assert!(
        made == vectors::ENVELOPE_JSON,
        "testdata/envelope.json differs from what the code makes: if the protocol was meant to \
         change, run `cargo xtask vectors`"
    );
}

#[test]
fn the_vector_check_notices_a_wrong_outcome() {
    let wrong =
        vectors::ENVELOPE_JSON.replacen("\"expect\": \"fresh\"", "\"expect\": \"Expired\"", 1);
    assert_eq!(
        vectors::check(&wrong),
        Err("single leaf: fresh instead of Expired".into())
    );
}

#[test]
fn an_envelope_is_fresh_once() {
    test_signers::with(|signers| {
        let signed = sealed(signers, &[Leaf::Assign(add_leaf(1, 1))]).remove(0);
        let mut seen = NonceCache::new(10);
        let mut check = || {
            let verified = Envelope::new(signed.clone())
                .verify(&keys(signers))
                .unwrap();
            verified.check_fresh(NOW, &me(), &mut seen).map(|_| ())
        };
        assert_eq!(check(), Ok(()));
        assert_eq!(check(), Err(EnvelopeError::Replayed));
    });
}

#[test]
fn a_time_leaf_is_no_assignment_and_no_assignment_is_a_time() {
    test_signers::with(|signers| {
        let time = Leaf::Time(TimeLeaf {
            challenge: Nonce::from_bytes([3; 16]),
            now: NOW,
        });
        let both = sealed(signers, &[time, Leaf::Assign(add_leaf(1, 1))]);
        let verified = |at: usize| {
            Envelope::new(both[at].clone())
                .verify(&keys(signers))
                .unwrap()
        };
        let mut seen = NonceCache::new(10);
        assert_eq!(
            verified(0).check_fresh(NOW, &me(), &mut seen).err(),
            Some(EnvelopeError::WrongKind)
        );
        assert_eq!(verified(0).ticket().err(), Some(EnvelopeError::WrongKind));
        assert_eq!(verified(1).time().err(), Some(EnvelopeError::WrongKind));
    });
}

#[test]
fn nonce_cache_refuses_when_full_and_forgets_only_the_expired() {
    let nonce = |byte| Nonce::from_bytes([byte; 16]);
    let mut seen = NonceCache::new(2);
    seen.remember(nonce(1), NOW.plus(10), NOW).unwrap();
    seen.remember(nonce(2), NOW.plus(20), NOW).unwrap();
    assert_eq!(
        seen.remember(nonce(3), NOW.plus(30), NOW.plus(9)),
        Err(EnvelopeError::NonceCacheFull)
    );
    seen.remember(nonce(3), NOW.plus(30), NOW.plus(10)).unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        seen.remember(nonce(2), NOW.plus(20), NOW.plus(10)),
        Err(EnvelopeError::Replayed)
    );
}

#[test]
fn nonce_cache_grows_with_what_is_alive_only() {
    let mut seen = NonceCache::new(100_000);
    let mut most = 0;
    for n in 0..50_000_u32 {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_le_bytes());
        let now = NOW.plus(n.into());
        let nonce = Nonce::from_bytes(bytes);
        seen.remember(nonce, now.plus(500), now).unwrap();
        let again = seen.remember(nonce, now.plus(500), now);
        assert_eq!(again, Err(EnvelopeError::Replayed));
        most = most.max(seen.len());
    }
    assert!((500..=1_002).contains(&most), "{most}");
}

#[test]
fn a_clock_set_back_does_not_bring_a_forgotten_nonce_back() {
    let nonce = Nonce::from_bytes([1; 16]);
    let mut seen = NonceCache::new(1);
    seen.remember(nonce, NOW.plus(10), NOW).unwrap();
    seen.remember(Nonce::from_bytes([2; 16]), NOW.plus(99), NOW.plus(50))
        .unwrap();
    assert_eq!(
        seen.remember(nonce, NOW.plus(10), NOW),
        Err(EnvelopeError::Expired { late_ms: 0 })
    );
}

#[test]
fn keys_that_are_no_rsa_keys_of_the_right_size_are_refused() {
    assert_eq!(
        VerifyingKey::from_spki_b64("!").unwrap_err(),
        KeyError::Base64
    );
    assert_eq!(
        VerifyingKey::from_spki_b64("AAAA").unwrap_err(),
        KeyError::Spki
    );
    let short = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCdJ0zciNmcUYVj++7aqA6oA79hnnYd9MuTOjcu\
                 IvV1zzPuj7LXiJs6JWor5St3TaVHBYvP4bMhQj/KVThYN3k8UqcEh7DYkJPBeEUVejmA4L1xCbKG\
                 6Z3tBcP+5QLQyWv6VVT/FWfvzPc2wI/bUUx4jNosCS+E/sFx7S/QHK2XJQIDAQAB";
    let error = VerifyingKey::from_spki_b64(short).unwrap_err();
    assert!(matches!(error, KeyError::Bits(1024)), "{error:?}");
}

#[test]
fn a_key_is_trusted_when_a_trusted_key_vouches_for_it() {
    test_signers::with(|signers| {
        let vouch = |kid, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
            announce_key(&signers.other, kid, |message| {
                Ok::<_, Infallible>(sign(message))
            })
            .unwrap()
        };
        let mut ring = keys(signers);
        let self_made = vouch(signers.other.kid(), signers.sign_other);
        assert_eq!(ring.accept(&self_made), Err(JwsError::UnknownKey));
        let forged = vouch(signers.trusted.kid(), signers.sign_other);
        assert_eq!(ring.accept(&forged), Err(JwsError::BadSignature));
        let batch = sealed(signers, &[Leaf::Assign(add_leaf(1, 1))])
            .remove(0)
            .root;
        assert_eq!(ring.accept(&batch), Err(JwsError::WrongType));
        let honest = vouch(signers.trusted.kid(), signers.sign);
        assert_eq!(ring.accept(&honest), Ok(signers.other.kid()));
        let sign = |message: &[u8]| Ok::<_, Infallible>((signers.sign_other)(message));
        let signed = seal(&[Leaf::Assign(add_leaf(2, 1))], signers.other.kid(), sign).unwrap();
        assert!(Envelope::new(signed[0].clone()).verify(&ring).is_ok());
    });
}

#[test]
fn an_attempt_starts_once() {
    let mut work = assignment(script_leaf("code", "{}", 5));
    let mut contents = Contents::default();
    contents.insert("code");
    contents.insert("{}");
    let mut started = Vec::new();
    assert!(work.withdraw(3));
    assert!(!work.withdraw(3));
    while let Ok(run) = work.start(2, NOW, &contents) {
        started.extend(run.shards().iter().map(|shard| shard.shard.0));
    }
    assert_eq!(started, [0, 1, 2, 4]);
    assert!(work.is_empty());
    assert_eq!(
        work.start(1, NOW, &contents).unwrap_err(),
        StartError::Empty
    );
}

#[test]
fn nothing_starts_late_or_with_other_contents() {
    let mut work = assignment(script_leaf("code", "{}", 1));
    let mut contents = Contents::default();
    contents.insert("{}");
    contents.insert("code, but not the one that was signed");
    let missing = StartError::Missing(Digest32::of(b"code"));
    assert_eq!(work.start(1, NOW, &contents).unwrap_err(), missing);
    contents.insert("code");
    let late = StartError::TooLate(EnvelopeError::Expired { late_ms: 0 });
    assert_eq!(
        work.start(1, NOW.plus(120_000), &contents).unwrap_err(),
        late
    );
    let run = work.start(1, NOW.plus(119_999), &contents).unwrap();
    let brain = run.brain(&run.shards()[0]).unwrap();
    assert_eq!(
        (brain.units, brain.total_units, brain.seed),
        (10, 1_000, (1 << 53) - 1)
    );
}

#[test]
fn a_run_holds_attempts_of_one_job() {
    let mut work = assignment(add_leaf(5, 3));
    for operand in 0..3 {
        let run = work.start(10, NOW, &Contents::default()).unwrap();
        assert_eq!(run.shards().len(), 1);
        assert!(matches!(run.kind(), RunKind::Add { a: 1, b } if *b == operand));
        assert_eq!(run.brain(&run.shards()[0]), None);
    }
}

fn reading(wall: u64, mono: u64) -> Reading {
    Reading {
        wall: UnixMillis(wall),
        mono: Millis(mono),
    }
}

fn answer(clock: &mut TrustedClock, challenge: Nonce, at: Reading) -> Result<(), TimeError> {
    test_signers::with(|signers| {
        let leaf = Leaf::Time(TimeLeaf {
            challenge,
            now: NOW,
        });
        let signed = sealed(signers, &[leaf]).remove(0);
        clock.answer(&Envelope::new(signed).verify(&keys(signers)).unwrap(), at)
    })
}

#[test]
fn time_is_the_servers_whatever_the_device_believes() {
    let challenge = Nonce::from_bytes([4; 16]);
    let mut clock = TrustedClock::default();
    assert!(clock.wants_answer(reading(5, 1_000)));
    clock.ask(challenge, reading(5, 1_000));
    assert!(!clock.wants_answer(reading(6, 1_001)));
    assert_eq!(clock.now(reading(6, 1_001)), None);
    assert_eq!(answer(&mut clock, challenge, reading(105, 1_100)), Ok(()));
    assert_eq!(clock.now(reading(205, 1_200)), Some(NOW.plus(200)));
    assert_eq!(
        answer(&mut clock, challenge, reading(205, 1_200)),
        Err(TimeError::NotAsked),
        "an answer counts once"
    );
}

#[test]
fn a_slow_answer_is_void() {
    let challenge = Nonce::from_bytes([4; 16]);
    let mut clock = TrustedClock::default();
    clock.ask(challenge, reading(0, 0));
    assert_eq!(
        answer(&mut clock, challenge, reading(10_001, 9_000)),
        Err(TimeError::TooSlow(10_001))
    );
    assert!(clock.wants_answer(reading(10_001, 9_000)));
    assert_eq!(clock.now(reading(10_001, 9_000)), None);
}

#[test]
fn an_answer_to_another_question_is_void() {
    let mut clock = TrustedClock::default();
    clock.ask(Nonce::from_bytes([4; 16]), reading(0, 0));
    let other = Nonce::from_bytes([5; 16]);
    assert_eq!(
        answer(&mut clock, other, reading(1, 1)),
        Err(TimeError::NotAsked)
    );
}

#[test]
fn sleep_and_set_clocks_make_the_time_unknown() {
    let challenge = Nonce::from_bytes([4; 16]);
    let mut clock = TrustedClock::default();
    clock.ask(challenge, reading(100_000, 0));
    answer(&mut clock, challenge, reading(100_000, 0)).unwrap();
    assert!(clock.now(reading(105_000, 0)).is_some());
    for (wall, mono, what) in [
        (105_001, 0, "sleep"),
        (94_999, 0, "set back"),
        (100_000, 5_001, "stopped"),
    ] {
        assert_eq!(clock.now(reading(wall, mono)), None, "{what}");
        assert!(clock.wants_answer(reading(wall, mono)), "{what}");
    }
    assert!(
        clock.wants_answer(reading(700_000, 600_000)),
        "after ten minutes"
    );
}

fn flip(bytes: &mut [u8], at: prop::sample::Index, bit: u8) {
    let at = at.index(bytes.len());
    bytes[at] ^= 1 << bit;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_flipped_bit_is_refused(
        part in 0..4,
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        leaves in 1..6_u8,
        place in any::<prop::sample::Index>(),
    ) {
        test_signers::with(|signers| {
            let leaves: Vec<Leaf> = (0..leaves).map(|n| Leaf::Assign(add_leaf(n, 2))).collect();
            let all = sealed(signers, &leaves);
            let mut signed = all[place.index(all.len())].clone();
            match part {
                0 => flip(&mut signed.leaf, at, bit),
                1 if !signed.path.is_empty() => {
                    let height = at.index(signed.path.len());
                    flip(&mut signed.path[height].0, at, bit);
                }
                2 => signed.index ^= 1 << bit,
                _ => {
                    let mut root = signed.root.clone().into_bytes();
                    let at = at.index(root.len());
                    // Seven bits, so that it stays text.
                    root[at] ^= 1 << (bit % 7);
                    signed.root = String::from_utf8(root).unwrap();
                }
            }
            prop_assert!(Envelope::new(signed).verify(&keys(signers)).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn no_input_panics(
        leaf in prop::collection::vec(any::<u8>(), 0..200),
        index in any::<u32>(),
        path in prop::collection::vec(any::<[u8; 32]>(), 0..14),
        root in "[ -~]{0,80}|e[A-Za-z0-9_.-]{0,400}",
    ) {
        let path = path.into_iter().map(merkle::Hash).collect();
        let envelope = Envelope::new(SignedLeaf { leaf, index, path, root });
        let _ = envelope.claimed_attempts();
        let is_refused = test_signers::with(|signers| envelope.verify(&keys(signers)).is_err());
        prop_assert!(is_refused);
    }

    #[test]
    fn mutated_leaves_never_panic_and_decode_to_what_they_encode(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Leaf::Assign(script_leaf("code", "{}", 50)).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(leaf) = Leaf::decode(&bytes) {
            prop_assert_eq!(Leaf::decode(&leaf.encode()), Ok(leaf));
        }
    }
}
