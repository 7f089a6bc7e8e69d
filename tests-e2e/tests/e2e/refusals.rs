//! A tab runs nothing that it could not verify as fresh and its own: shown, reported, not run.

use std::time::Duration;

use anyhow::Result;
use shared::envelope::{AssignLeaf, Leaf};
use shared::ids::SessionId;
use shared::time::UnixMillis;
use shared::wire::{RefusalReason, ResultRow, SignedLeaf, ToServer};
use tempfile::TempDir;
use tests_e2e::{Browser, BrowserKind, WorkerTab};

use crate::cluster;
use crate::hostile_server::{HostileServer, Tab};

/// What every assignment of these tests would return.
const CODE: &str = "return 'it ran'";

#[tokio::test(flavor = "multi_thread")]
async fn assignments_that_do_not_hold_are_refused_shown_reported_and_not_run() -> Result<()> {
    let data = TempDir::new()?;
    let pages = cluster::setup(&data)?.start()?;
    let mut server = HostileServer::start(pages.base()).await?;
    let browser = Browser::launch(BrowserKind::Chromium).await?;
    let worker = WorkerTab::open(&browser, &server.invite_url()).await?;
    worker.page().click("#start").await?;
    let mut tab = server.accept().await?;

    let honest = tab.honest_leaf(CODE);
    let replayed = tab.sealed(Leaf::Assign(honest));
    assert_eq!(run(&mut tab, &replayed).await?, "\"it ran\"");

    for (reason, words, signed) in lies(&mut tab, replayed) {
        tab.assign(&signed, &[CODE, "null"]).await?;
        // The next that the tab says about work is the refusal, so nothing ran before it.
        let said = tab.next().await?;
        let ToServer::Refused(refused) = &said else {
            panic!("{reason:?} was expected: {said:?}");
        };
        let reasons: Vec<RefusalReason> = refused.iter().map(|it| it.reason).collect();
        assert_eq!(reasons, [reason]);
        let words = serde_json::json!(words);
        let shown = format!("document.querySelector('#refusals').innerText.includes({words})");
        worker.page().wait_until(&shown).await?;
    }

    let last = tab.honest_leaf(CODE);
    let last = tab.sealed(Leaf::Assign(last));
    assert_eq!(run(&mut tab, &last).await?, "\"it ran\"");
    worker
        .wait_for_state(&["idle"], Duration::from_secs(30))
        .await?;
    worker.check_console(&[])?;
    browser.close().await
}

type Lie = (RefusalReason, &'static str, SignedLeaf);

/// Assignments that must not run: the reason that is reported, words that the volunteer reads, and
/// what is sent.
fn lies(tab: &mut Tab<'_>, replayed: SignedLeaf) -> Vec<Lie> {
    let mut changed = |change: fn(&mut AssignLeaf)| {
        let mut leaf = tab.honest_leaf(CODE);
        change(&mut leaf);
        leaf
    };
    let honest = changed(|_| {});
    let expired = changed(|leaf| {
        leaf.issued_at = UnixMillis(leaf.issued_at.0 - 200_000);
        leaf.expires_at = UnixMillis(leaf.issued_at.0 + 120_000);
    });
    let future = changed(|leaf| {
        leaf.issued_at = UnixMillis(leaf.issued_at.0 + 3_600_000);
        leaf.expires_at = UnixMillis(leaf.issued_at.0 + 120_000);
    });
    let lasting = changed(|leaf| leaf.expires_at = UnixMillis(leaf.issued_at.0 + 901_000));
    let foreign = changed(|leaf| leaf.worker = "worker-other".parse().expect("a worker id"));
    let other_session = changed(|leaf| leaf.session = SessionId::from_bytes([1; 16]));

    // Neither comes with the assignment, so the tab asks for it, and is given something else.
    let other_code = tab.honest_leaf("return 'code that was never sent'");

    let mut tampered = tab.sealed(Leaf::Assign(honest.clone()));
    let last = tampered.leaf.len() - 1;
    // The last byte is the attempt's number: still a leaf, but not the one that was signed.
    tampered.leaf[last] ^= 2;
    let forged = tab.forged(Leaf::Assign(honest));
    let sealed = |leaf| tab.sealed(Leaf::Assign(leaf));
    use RefusalReason as Why;
    vec![
        (Why::NotInTree, "not covered by the signature", tampered),
        (Why::BadSignature, "bad signature", forged),
        (Why::Expired, "expired", sealed(expired)),
        (Why::FromTheFuture, "in the future", sealed(future)),
        (Why::LifetimeTooLong, "longer than allowed", sealed(lasting)),
        (Why::Replayed, "replayed", replayed),
        (Why::ForeignWorker, "another device", sealed(foreign)),
        (
            Why::ForeignSession,
            "another session",
            sealed(other_session),
        ),
        (
            Why::WrongContent,
            "differ from what was signed",
            sealed(other_code),
        ),
    ]
}

/// Sends an honest assignment and returns the value of its one run.
async fn run(tab: &mut Tab<'_>, signed: &SignedLeaf) -> Result<String> {
    tab.assign(signed, &[CODE, "null"]).await?;
    let said = tab.next().await?;
    let ToServer::Results(batches) = &said else {
        panic!("a result was expected: {said:?}");
    };
    let rows: Vec<&ResultRow> = batches.iter().flat_map(|batch| &batch.rows).collect();
    assert_eq!(rows.len(), 1, "{said:?}");
    Ok(rows[0].result.value.clone().expect("a value"))
}
