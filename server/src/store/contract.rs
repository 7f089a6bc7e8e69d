//! What every store must do. Each implementation instantiates [`contract_tests`].

use std::sync::Arc;

use range_set_blaze::RangeSetBlaze;
use scheduler::{Delta, Ending, JobEnd};
use shared::api::TaskBrief;
use shared::ids::{Digest32, JobId, SessionId, ShardIndex, WorkerId};
use shared::job::{JobLimits, JobSpec, parse_add, parse_run_js};
use shared::reduce::ReducerState;
use shared::time::UnixMillis;
use shared::wire::{ResultStatus, ShardResult};
use tokio::sync::oneshot;

use super::{
    Admission, EndedJobs, Entry, EntryInvite, InviteLink, InviteRecord, InviteToken, LinkedInvite,
    ListedInvite, NewInvite, NewJob, Outcome, Profile, RecordedInvite, SessionOrder, Store,
    StoreError, StoredJob, StoredOrders, UnfinishedJob,
};

/// A place where a store lives, so that it can be closed and opened again.
pub(super) trait Home {
    fn open(&self) -> Arc<dyn Store>;
}

/// One test for each claim of this file.
macro_rules! contract_tests {
    ($home:expr) => {
        contract_tests!(
            $home,
            jobs_are_read_back_as_they_were_stored,
            deltas_add_up_and_survive,
            a_delta_counts_once,
            rows_are_read_in_order_of_the_shards_and_counted_once,
            a_delta_without_its_predecessor_is_refused,
            a_delta_of_no_open_job_is_refused,
            every_outcome_is_read_back_and_ends_the_job,
            ended_jobs_are_counted_and_the_newest_are_listed,
            deltas_that_are_sent_together_are_all_stored,
            a_worker_id_belongs_to_its_first_secret,
            the_newest_invite_is_known,
            links_lead_to_their_invite,
            codes_and_phrases_belong_to_one_invite,
            the_oldest_and_the_expired_invites_go,
            an_invite_is_used_by_as_many_workers_as_it_may_and_by_each_once,
            who_is_refused_leaves_no_name,
            invites_are_listed_with_what_became_of_them,
            a_revoked_invite_is_remembered_as_long_as_it_could_hold,
            a_session_that_is_to_end_stays_so,
            a_ban_is_for_every_worker_of_a_secret,
            nothing_is_stored_after_closing,
        );
    };
    ($home:expr, $($claim:ident,)+) => {
        $(#[tokio::test]
        async fn $claim() {
            $crate::store::contract::$claim(&$home).await;
        })+
    };
}
pub(super) use contract_tests;

pub(super) fn job_id(number: u8) -> JobId {
    JobId::from_random([number; 16])
}

pub(super) fn sharded_job(number: u8) -> NewJob {
    let limits = JobLimits {
        max_code_bytes: 1024,
        max_args_bytes: 1024,
        default_timeout_ms: 0,
        max_collect_bytes: 1 << 20,
    };
    let body = serde_json::json!({
        "code": "return {hits: 1, samples: 2}", "executionModel": "sharded",
        "shardConfig": {"totalUnits": 1_000_000, "unitsPerShard": 1},
    });
    NewJob {
        job: job_id(number),
        created_at: UnixMillis(1_000 + u64::from(number)),
        spec: parse_run_js(&body, &limits, u64::MAX).unwrap(),
        high_water: 100,
    }
}

fn add_job(number: u8) -> NewJob {
    NewJob {
        spec: parse_add(&serde_json::json!({"a": 2, "b": 40})).unwrap(),
        high_water: 1,
        ..sharded_job(number)
    }
}

fn result(value: &str) -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: 1,
        value: Some(value.into()),
        details: None,
    }
}

/// The state after folding `count` results.
fn folded(spec: &JobSpec, count: usize) -> ReducerState {
    let mut state = ReducerState::default();
    for _ in 0..count {
        let reducer = spec.reducer().expect("the job has a reducer");
        reducer
            .fold(&mut state, &result(r#"{"hits":1,"samples":2}"#))
            .unwrap();
    }
    state
}

pub(super) fn delta(job: JobId, seq: u64, completed: std::ops::RangeInclusive<u64>) -> Delta {
    Delta {
        job,
        seq,
        completed: std::iter::once(completed).collect(),
        skipped: RangeSetBlaze::new(),
        rows: [].into(),
        failed_shards: 0,
        reducer_state: None,
        high_water: 100,
        is_paused: false,
        end: None,
    }
}

pub(super) async fn persist(store: &dyn Store, delta: Delta) -> Result<(), StoreError> {
    let (reply, answer) = oneshot::channel();
    let done = Box::new(move |stored| drop(reply.send(stored)));
    store.persist(Box::new(delta), done);
    answer.await.expect("every delta is answered")
}

async fn read(store: &dyn Store, job: JobId) -> StoredJob {
    store.job(job).await.unwrap().expect("the job is stored")
}

pub(super) async fn only_unfinished(store: &dyn Store) -> UnfinishedJob {
    let mut jobs = store.unfinished_jobs().await.unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

pub(super) async fn jobs_are_read_back_as_they_were_stored(home: &dyn Home) {
    let store = home.open();
    for job in [sharded_job(2), add_job(1)] {
        store.insert_job(job.clone()).await.unwrap();
        let stored = read(&*store, job.job).await;
        assert_eq!((stored.job, stored.created_at), (job.job, job.created_at));
        assert_eq!(stored.spec, job.spec);
        assert_eq!(stored.progress.high_water, job.high_water);
        assert_eq!((stored.progress.seq, stored.progress.completed), (0, 0));
        assert_eq!(stored.outcome, None);
    }
    assert_eq!(store.job(job_id(9)).await, Ok(None));
    let order: Vec<_> = store.unfinished_jobs().await.unwrap();
    let order: Vec<_> = order.iter().map(|job| job.stored.job).collect();
    assert_eq!(order, [job_id(1), job_id(2)], "oldest first");
}

pub(super) async fn deltas_add_up_and_survive(home: &dyn Home) {
    let job = sharded_job(1);
    let store = home.open();
    store.insert_job(job.clone()).await.unwrap();
    let state = folded(&job.spec, 10);
    let first = Delta {
        reducer_state: Some(state.clone()),
        ..delta(job.job, 1, 0..=9)
    };
    let second = Delta {
        failed_shards: 2,
        high_water: 300,
        is_paused: true,
        ..delta(job.job, 2, 20..=29)
    };
    persist(&*store, first).await.unwrap();
    persist(&*store, second).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let unfinished = only_unfinished(&*home.open()).await;
    let expected: RangeSetBlaze<u64> = [0..=9, 20..=29].into_iter().collect();
    assert_eq!(unfinished.completed, expected);
    let progress = unfinished.stored.progress;
    assert_eq!(
        (progress.seq, progress.completed, progress.failed_shards),
        (2, 20, 2)
    );
    assert_eq!((progress.high_water, progress.is_paused), (300, true));
    assert_eq!(
        progress.reducer_state,
        Some(state),
        "a delta without state keeps it"
    );
}

pub(super) async fn a_delta_counts_once(home: &dyn Home) {
    let store = home.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    let once = delta(job_id(1), 1, 0..=9);
    for _ in 0..3 {
        persist(&*store, once.clone()).await.unwrap();
    }
    let end = Delta {
        end: Some(JobEnd::Reduced),
        ..delta(job_id(1), 2, 10..=19)
    };
    for again in [end.clone(), once, end] {
        persist(&*store, again).await.unwrap();
    }
    assert_eq!(read(&*store, job_id(1)).await.progress.completed, 20);
}

pub(super) async fn rows_are_read_in_order_of_the_shards_and_counted_once(home: &dyn Home) {
    const LARGE: usize = 100_000;
    let store = home.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    store.insert_job(sharded_job(2)).await.unwrap();
    let row = |shard: u64| {
        (
            ShardIndex(shard),
            result(&format!("[{shard},\"{}\"]", "x".repeat(LARGE))),
        )
    };
    let rows = |job, seq, shards: &[u64]| Delta {
        completed: shards.iter().copied().collect(),
        rows: shards.iter().copied().map(row).collect(),
        ..delta(job_id(job), seq, 0..=0)
    };
    for (job, seq, shards) in [
        (1, 1, &[7, 5][..]),
        (2, 1, &[0]),
        (1, 2, &[6, 0, 4]),
        (1, 2, &[6, 0, 4]),
        (1, 3, &[1]),
    ] {
        persist(&*store, rows(job, seq, shards)).await.unwrap();
    }
    let mut found = Vec::new();
    let mut from = ShardIndex(0);
    loop {
        let page = store.rows(job_id(1), from).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 3, "a page is bounded");
        from = ShardIndex(last.0 + 1);
        found.extend(page);
    }
    let expected: Vec<_> = [0, 1, 4, 5, 6, 7].map(row).into();
    assert_eq!(found, expected);
    let unknown = store.rows(job_id(9), ShardIndex(0)).await;
    assert_eq!(unknown, Err(StoreError::UnknownJob));
}

pub(super) async fn a_delta_without_its_predecessor_is_refused(home: &dyn Home) {
    let store = home.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    persist(&*store, delta(job_id(1), 1, 0..=0)).await.unwrap();
    let early = delta(job_id(1), 3, 2..=2);
    let refused = persist(&*store, early.clone()).await;
    assert_eq!(refused, Err(StoreError::Gap { stored: 1, seq: 3 }));
    persist(&*store, delta(job_id(1), 2, 1..=1)).await.unwrap();
    persist(&*store, early).await.unwrap();
    assert_eq!(only_unfinished(&*store).await.completed.len(), 3);
}

pub(super) async fn a_delta_of_no_open_job_is_refused(home: &dyn Home) {
    let store = home.open();
    let unknown = persist(&*store, delta(job_id(1), 1, 0..=0)).await;
    assert_eq!(unknown, Err(StoreError::JobNotOpen));
    store.insert_job(sharded_job(1)).await.unwrap();
    let end = Delta {
        end: Some(JobEnd::Failed("over".into())),
        ..delta(job_id(1), 1, 0..=0)
    };
    persist(&*store, end).await.unwrap();
    let late = persist(&*store, delta(job_id(1), 2, 1..=1)).await;
    assert_eq!(late, Err(StoreError::JobNotOpen));
}

pub(super) async fn every_outcome_is_read_back_and_ends_the_job(home: &dyn Home) {
    let store = home.open();
    let state = folded(&sharded_job(2).spec, 1);
    for (number, end, outcome) in [
        (
            1,
            JobEnd::Single(result("42")),
            Outcome::Single(result("42")),
        ),
        (2, JobEnd::Reduced, Outcome::Reduced),
        (
            3,
            JobEnd::Failed("why".into()),
            Outcome::Failed("why".into()),
        ),
        (4, JobEnd::Cancelled, Outcome::Cancelled),
    ] {
        store.insert_job(sharded_job(number)).await.unwrap();
        let last = Delta {
            reducer_state: Some(state.clone()),
            end: Some(end),
            ..delta(job_id(number), 1, 0..=4)
        };
        persist(&*store, last).await.unwrap();
        let stored = read(&*store, job_id(number)).await;
        assert_eq!(stored.outcome, Some(outcome));
        assert_eq!(stored.progress.reducer_state, Some(state.clone()));
        assert_eq!(stored.progress.completed, 5);
    }
    assert_eq!(store.unfinished_jobs().await, Ok(Vec::new()));
}

pub(super) async fn ended_jobs_are_counted_and_the_newest_are_listed(home: &dyn Home) {
    let store = home.open();
    assert_eq!(store.ended_jobs(2).await, Ok(EndedJobs::default()));
    let add = NewJob {
        spec: parse_add(&serde_json::json!({"a": 2, "b": 40})).unwrap(),
        ..sharded_job(1)
    };
    for (job, completed, end) in [
        (add, 0..=0, JobEnd::Single(result("42"))),
        (sharded_job(2), 0..=9, JobEnd::Reduced),
        (sharded_job(3), 0..=4, JobEnd::Failed("why".into())),
        (sharded_job(4), 0..=1, JobEnd::Cancelled),
    ] {
        let id = job.job;
        store.insert_job(job).await.unwrap();
        let last = Delta {
            failed_shards: 1,
            end: Some(end),
            ..delta(id, 1, completed)
        };
        persist(&*store, last).await.unwrap();
        // Each ends in a millisecond of its own, so that their order is known.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    store.insert_job(sharded_job(5)).await.unwrap();
    let ended = store.ended_jobs(2).await.unwrap();
    assert_eq!((ended.done, ended.failed, ended.cancelled), (2, 1, 1));
    assert_eq!(ended.shards, 10 + 5 + 2, "an addition has no shards");
    let newest: Vec<_> = ended.newest.iter().map(|it| (it.job, it.ending)).collect();
    assert_eq!(
        newest,
        [(job_id(4), Ending::Cancelled), (job_id(3), Ending::Failed)]
    );
    let failed = &ended.newest[1];
    assert_eq!((failed.completed, failed.failed_shards), (5, 1));
    assert_eq!(failed.created_at, sharded_job(3).created_at);
    assert_eq!(failed.plan, sharded_job(3).spec.plan());
    assert_eq!(failed.task, TaskBrief::from(&sharded_job(3).spec));
    assert_eq!(failed.ended_at, read(&*store, job_id(3)).await.updated_at);
}

pub(super) async fn deltas_that_are_sent_together_are_all_stored(home: &dyn Home) {
    const JOBS: u8 = 5;
    const DELTAS: u64 = 200;
    let store = home.open();
    for number in 0..JOBS {
        store.insert_job(sharded_job(number)).await.unwrap();
    }
    let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for seq in 1..=DELTAS {
        for number in 0..JOBS {
            let sender = sender.clone();
            let done = Box::new(move |stored| drop(sender.send((number, seq, stored))));
            let shard = 2 * seq;
            store.persist(Box::new(delta(job_id(number), seq, shard..=shard)), done);
        }
    }
    let mut last_seq = [0; JOBS as usize];
    for _ in 0..DELTAS * u64::from(JOBS) {
        let (number, seq, stored) = answers.recv().await.unwrap();
        assert_eq!(stored, Ok(()));
        assert_eq!(
            seq,
            last_seq[usize::from(number)] + 1,
            "answers keep their order"
        );
        last_seq[usize::from(number)] = seq;
    }
    for job in store.unfinished_jobs().await.unwrap() {
        let expected: RangeSetBlaze<u64> = (1..=DELTAS).map(|seq| 2 * seq).collect();
        assert_eq!(job.completed, expected);
    }
}

fn entry(worker: WorkerId, secret: &[u8], invite: Option<(&str, bool)>) -> Entry {
    Entry {
        worker,
        secret: Digest32::of(secret),
        invite: invite.map(|(jti, is_limited)| EntryInvite {
            jti: jti.into(),
            is_limited,
        }),
    }
}

pub(super) async fn a_worker_id_belongs_to_its_first_secret(home: &dyn Home) {
    let [own, foreign] =
        [b"own".as_slice(), b"foreign"].map(|secret| entry(named(1), secret, None));
    {
        let store = home.open();
        assert_eq!(store.check_entry(own.clone()).await, Ok(Admission::Open));
        let twice = [&own, &own].map(|own| store.admit_worker(own.clone()));
        for admitted in twice {
            assert_eq!(admitted.await, Ok(Admission::Noted));
        }
        let refused = store.admit_worker(foreign.clone()).await;
        assert_eq!(refused, Ok(Admission::Foreign));
        store.close().await.unwrap();
    }
    let store = home.open();
    for (entry, expected) in [(foreign, Admission::Foreign), (own, Admission::Noted)] {
        let would = store.check_entry(entry.clone()).await;
        assert_eq!(would, Ok(expected));
        assert_eq!(store.admit_worker(entry).await, Ok(expected));
    }
}

/// An invite that holds from second 1000 to 2000.
fn invite(jti: &str, codes: &[&str], phrases: &[&str]) -> NewInvite {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    NewInvite {
        record: InviteRecord {
            jti: jti.into(),
            issued_at_sec: 1000,
            expires_at_sec: 2000,
            label: None,
            max_uses: None,
        },
        token: InviteToken(format!("token of {jti}")),
        codes: texts(codes),
        phrases: texts(phrases),
        max_kept: 3,
    }
}

fn code(text: &str) -> InviteLink {
    InviteLink::Code(text.into())
}

pub(super) async fn the_newest_invite_is_known(home: &dyn Home) {
    let mut newest = invite("second", &[], &[]);
    newest.record.label = Some("class".into());
    let serial = {
        let store = home.open();
        assert_eq!(store.newest_invite().await, Ok(None));
        let first = store.record_invite(invite("first", &[], &[])).await;
        let second = store.record_invite(newest.clone()).await.unwrap().serial;
        assert!(second > first.unwrap().serial);
        store.close().await.unwrap();
        second
    };
    assert_eq!(
        home.open().newest_invite().await,
        Ok(Some((serial, newest.record)))
    );
}

pub(super) async fn links_lead_to_their_invite(home: &dyn Home) {
    {
        let store = home.open();
        let both = invite("first", &["abc"], &["lamp-zoo"]);
        store.record_invite(both).await.unwrap();
        store.close().await.unwrap();
    }
    let store = home.open();
    let first = LinkedInvite {
        token: InviteToken("token of first".into()),
        expires_at_sec: 2000,
    };
    let phrase = InviteLink::Phrase("lamp-zoo".into());
    for link in [code("abc"), phrase] {
        assert_eq!(store.linked_invite(link).await, Ok(Some(first.clone())));
    }
    for link in [code("lamp-zoo"), InviteLink::Phrase("abc".into())] {
        assert_eq!(store.linked_invite(link).await, Ok(None));
    }
}

pub(super) async fn codes_and_phrases_belong_to_one_invite(home: &dyn Home) {
    let store = home.open();
    let record = async |invite| {
        let RecordedInvite { code, phrase, .. } = store.record_invite(invite).await.unwrap();
        (code, phrase)
    };
    let text = |text: &str| Some(text.to_owned());
    let first = record(invite("first", &["a", "b"], &["x", "y"])).await;
    assert_eq!(first, (text("a"), text("x")));
    let second = record(invite("second", &["a", "b"], &["x"])).await;
    assert_eq!(second, (text("b"), None));
    let third = record(invite("third", &["a", "b"], &["z"])).await;
    assert_eq!(third, (None, text("z")));
}

pub(super) async fn the_oldest_and_the_expired_invites_go(home: &dyn Home) {
    let store = home.open();
    let is_known = async |text| store.linked_invite(code(text)).await.unwrap().is_some();
    for name in ["a", "b", "c", "d"] {
        let recorded = store.record_invite(invite(name, &[name], &[])).await;
        assert_eq!(recorded.unwrap().code, Some(name.to_owned()));
    }
    assert!(!is_known("a").await, "three are kept");
    assert!(is_known("b").await);
    let mut later = invite("e", &["b"], &[]);
    later.record.issued_at_sec = 2001;
    later.record.expires_at_sec = 3000;
    let recorded = store.record_invite(later).await.unwrap();
    assert_eq!(recorded.code, Some("b".to_owned()), "free again");
    for expired in ["c", "d"] {
        assert!(!is_known(expired).await, "{expired}");
    }
}

fn named(number: u8) -> WorkerId {
    format!("worker-{number}").parse().unwrap()
}

pub(super) async fn an_invite_is_used_by_as_many_workers_as_it_may_and_by_each_once(
    home: &dyn Home,
) {
    let limited = |number| entry(named(number), &[number], Some(("limited", true)));
    let any = |number| entry(named(number), &[number], Some(("any", false)));
    {
        let store = home.open();
        let mut record = invite("limited", &[], &[]);
        record.record.max_uses = Some(2);
        store.record_invite(record).await.unwrap();
        store.record_invite(invite("any", &[], &[])).await.unwrap();
        let used = [1, 2, 3, 1].map(|number| store.admit_worker(limited(number)));
        let [first, second, third, first_again] = used;
        assert_eq!(first.await, Ok(Admission::Noted));
        assert_eq!(second.await, Ok(Admission::Noted));
        assert_eq!(third.await, Ok(Admission::UsedUp));
        assert_eq!(first_again.await, Ok(Admission::Noted));
        for number in 1..=3 {
            let used = store.admit_worker(any(number)).await;
            assert_eq!(used, Ok(Admission::Noted));
        }
        store.close().await.unwrap();
    }
    let store = home.open();
    let lost = |is_limited| entry(named(6), &[6], Some(("lost", is_limited)));
    for (entry, would, expected) in [
        (limited(2), Admission::Noted, Admission::Noted),
        (limited(4), Admission::UsedUp, Admission::UsedUp),
        (any(4), Admission::Open, Admission::Noted),
        (lost(true), Admission::Unknown, Admission::Unknown),
        (lost(false), Admission::Open, Admission::Noted),
    ] {
        let checked = store.check_entry(entry.clone()).await;
        assert_eq!(checked, Ok(would), "{entry:?}");
        let admitted = store.admit_worker(entry.clone()).await;
        assert_eq!(admitted, Ok(expected), "{entry:?}");
    }
}

pub(super) async fn who_is_refused_leaves_no_name(home: &dyn Home) {
    let store = home.open();
    let mut record = invite("limited", &[], &[]);
    record.record.max_uses = Some(1);
    store.record_invite(record).await.unwrap();
    let limited = |secret: &[u8], number| entry(named(number), secret, Some(("limited", true)));
    let admitted = store.admit_worker(limited(b"first", 1)).await;
    assert_eq!(admitted, Ok(Admission::Noted));
    let refused = store.admit_worker(limited(b"second", 2)).await;
    assert_eq!(refused, Ok(Admission::UsedUp));
    let lost = entry(named(2), b"second", Some(("lost", true)));
    assert_eq!(store.admit_worker(lost).await, Ok(Admission::Unknown));
    let third = store.admit_worker(entry(named(2), b"third", None)).await;
    assert_eq!(third, Ok(Admission::Noted), "the name is nobody's");
}

pub(super) async fn invites_are_listed_with_what_became_of_them(home: &dyn Home) {
    let store = home.open();
    let mut first = invite("first", &["abc"], &["lamp-zoo"]);
    first.record.label = Some("class".into());
    first.record.max_uses = Some(5);
    let second = invite("second", &[], &[]);
    for invite in [&first, &second] {
        store.record_invite(invite.clone()).await.unwrap();
    }
    for number in 1..=2 {
        let used = entry(named(number), b"own", Some(("first", false)));
        assert_eq!(store.admit_worker(used).await, Ok(Admission::Noted));
    }
    let revoked = store.revoke_invite("second".into(), UnixMillis(u64::MAX >> 1));
    assert_eq!(revoked.await, Ok(true));
    let listed = [
        ListedInvite {
            record: second.record,
            uses: 0,
            is_revoked: true,
            code: None,
            phrase: None,
        },
        ListedInvite {
            record: first.record,
            uses: 2,
            is_revoked: false,
            code: Some("abc".into()),
            phrase: Some("lamp-zoo".into()),
        },
    ];
    assert_eq!(store.invites(10).await, Ok(listed.to_vec()));
    assert_eq!(store.invites(1).await, Ok(listed[..1].to_vec()));
}

pub(super) async fn a_revoked_invite_is_remembered_as_long_as_it_could_hold(home: &dyn Home) {
    const FAR_SEC: u64 = 1 << 40;
    let after = |ms: u64| UnixMillis(FAR_SEC * 1000 + ms);
    {
        let store = home.open();
        let revoke = async |jti: &str, until| store.revoke_invite(jti.into(), until).await;
        assert_eq!(revoke("first", after(1)).await, Ok(false));
        let mut second = invite("second", &[], &[]);
        second.record.expires_at_sec = FAR_SEC;
        for invite in [invite("first", &[], &[]), second] {
            store.record_invite(invite).await.unwrap();
        }
        for until in [after(5), after(7), after(6)] {
            assert_eq!(revoke("first", until).await, Ok(true));
        }
        assert_eq!(revoke("second", UnixMillis(1)).await, Ok(true));
        store.close().await.unwrap();
    }
    let store = home.open();
    let first = ("first".to_owned(), after(7));
    let second = ("second".to_owned(), after(1000));
    assert_eq!(store.orders().await.unwrap().revoked, [first, second]);
}

pub(super) async fn a_session_that_is_to_end_stays_so(home: &dyn Home) {
    let far = UnixMillis(u64::MAX >> 1);
    let session = |number| SessionId::from_bytes([number; 16]);
    {
        let store = home.open();
        for (number, order, until) in [
            (1, SessionOrder::Drain, far),
            (2, SessionOrder::Drain, far),
            (3, SessionOrder::End, UnixMillis(5)),
            (1, SessionOrder::End, far),
            (1, SessionOrder::Drain, far),
        ] {
            let ordered = store.order_session(session(number), order, until).await;
            assert_eq!(ordered, Ok(()));
        }
        store.close().await.unwrap();
    }
    let orders = home.open().orders().await.unwrap().sessions;
    let expected = [
        (session(1), SessionOrder::End, far),
        (session(2), SessionOrder::Drain, far),
        (session(3), SessionOrder::End, UnixMillis(5)),
    ];
    assert_eq!(orders, expected);
}

pub(super) async fn a_ban_is_for_every_worker_of_a_secret(home: &dyn Home) {
    let (own, other) = (Digest32::of(b"own"), Digest32::of(b"other"));
    let profile = Profile {
        secret: own,
        workers: vec![named(1), named(2)],
    };
    {
        let store = home.open();
        for (number, secret) in [(1, own), (2, own), (3, other)] {
            let entry = Entry {
                secret,
                ..entry(named(number), b"", None)
            };
            assert_eq!(store.admit_worker(entry).await, Ok(Admission::Noted));
        }
        assert_eq!(store.ban_worker(named(9)).await, Ok(None));
        assert_eq!(store.unban_worker(named(9)).await, Ok(None));
        assert_eq!(store.ban_worker(named(2)).await, Ok(Some(profile.clone())));
        store.close().await.unwrap();
    }
    let store = home.open();
    let banned = [1, 2].map(|number| (named(number), own)).to_vec();
    let orders = store.orders().await.unwrap();
    assert_eq!(orders.banned, banned);
    assert_eq!(store.unban_worker(named(1)).await, Ok(Some(profile)));
    let orders = store.orders().await.unwrap();
    assert_eq!(orders, StoredOrders::default());
}

pub(super) async fn nothing_is_stored_after_closing(home: &dyn Home) {
    let store = home.open();
    store.insert_job(sharded_job(1)).await.unwrap();
    let before = {
        let (reply, answer) = oneshot::channel();
        let done = Box::new(move |stored| drop(reply.send(stored)));
        store.persist(Box::new(delta(job_id(1), 1, 0..=0)), done);
        answer
    };
    store.close().await.unwrap();
    assert_eq!(before.await, Ok(Ok(())), "what came before is written");
    assert_eq!(
        store.insert_job(sharded_job(2)).await,
        Err(StoreError::Closed)
    );
    let late = persist(&*store, delta(job_id(1), 2, 1..=1)).await;
    assert_eq!(late, Err(StoreError::Closed));
}
