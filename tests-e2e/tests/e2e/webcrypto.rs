//! The golden vectors of the envelope by an independent implementation: the browser's WebCrypto.

use anyhow::Result;
use serde_json::Value;

use crate::cluster::Cluster;

const VECTORS: &str = include_str!("../../../shared/testdata/envelope.json");
const VERIFIER: &str = include_str!("webcrypto.js");

/// Refusals that come before or with the check of signature and path.
const UNPROVED: [&str; 5] = [
    "BadSignature",
    "NotInTree",
    "UnknownKey",
    "WrongAlgorithm",
    "WrongType",
];
/// What is refused although signature and path hold, or accepted.
const PROVED: [&str; 8] = [
    "fresh",
    "time",
    "ForeignWorker",
    "ForeignSession",
    "Expired",
    "FromTheFuture",
    "LifetimeTooLong",
    "WrongVersion",
];

#[tokio::test(flavor = "multi_thread")]
async fn golden_vectors_hold_for_webcrypto() -> Result<()> {
    let cluster = Cluster::start().await?;
    let health = format!("{}/health", cluster.server.base());
    let page = cluster.browser.open(&health).await?;
    // Without comments, for the function is an expression.
    let function: Vec<&str> = VERIFIER
        .lines()
        .filter(|line| !line.starts_with("//"))
        .collect();
    let outcome = page
        .evaluate(&format!("({})({VECTORS})", function.join("\n")))
        .await?;
    let vectors: Value = serde_json::from_str(VECTORS)?;
    let mut checked = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let (name, expect) = (
            case["name"].as_str().unwrap(),
            case["expect"].as_str().unwrap(),
        );
        // An envelope of another version of its claims is signed well; only its claims say so.
        let is_proved = PROVED.contains(&expect) || name == "claims of another version";
        if is_proved || UNPROVED.contains(&expect) {
            assert_eq!(outcome[name], is_proved, "{name}: {expect}");
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
    cluster.close().await
}
