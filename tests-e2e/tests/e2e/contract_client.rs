//! A client that knows nothing but the HTTP contract, against the real server with two real tabs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests_e2e::process::OwnedProcess;
use tests_e2e::{WorkerTab, artifacts};

use crate::cluster::{Cluster, KEY};

const SCRIPT: &str = "tests-e2e/tests/e2e/contract_client.mjs";
const LIMIT: Duration = Duration::from_secs(180);
/// What the client says of each thing that it has done.
const DONE: &str = "ok invite
ok keys
ok add
ok single
ok scripts that throw or run too long
ok sharded
ok collect
ok min and max
ok the harness's suite
ok pause and resume
ok stop all
ok add
";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_written_from_the_contract_alone_does_everything_with_two_tabs() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut node = Command::new("node");
    node.arg(SCRIPT)
        .current_dir(artifacts::root())
        .env("CLUSTER_HOST", cluster.server.base())
        .env("CLIENT_API_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut client = OwnedProcess::spawn(&mut node).context("Node 20 or newer is needed")?;
    let stdout = client.child_mut().stdout.take().context("it is piped")?;
    let mut lines = BufReader::new(stdout);
    let mut invite = String::new();
    lines.read_line(&mut invite)?;
    let tabs = [
        WorkerTab::join(&cluster.browser, invite.trim()).await?,
        WorkerTab::join(&cluster.browser, invite.trim()).await?,
    ];
    let said = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        lines.read_to_string(&mut said).map(|_| said)
    });
    let said = tokio::time::timeout(LIMIT, said)
        .await
        .context("it does not end")???;
    let status = client.wait_for(LIMIT)?;
    ensure!(
        status.is_some_and(|status| status.success()),
        "{status:?} after:\n{said}"
    );
    assert_eq!(said, DONE);
    for tab in &tabs {
        assert!(tab.done_count().await? > 0, "one tab did everything");
        tab.check_console(&[])?;
    }
    cluster.close().await
}
