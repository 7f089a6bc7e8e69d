//! A server that cannot start says in one line each what is wrong and what to do, and exits with a
//! code that is not zero.

use std::fs;
use std::net::TcpListener;

use anyhow::Result;
use tempfile::TempDir;
use tests_e2e::ServerSetup;
use tests_e2e::server::Ended;

use crate::cluster;

fn refused(change: impl FnOnce(ServerSetup) -> ServerSetup) -> Result<Ended> {
    let data = TempDir::new()?;
    let ended = change(cluster::setup(&data)?).run_to_end()?;
    assert!(!ended.status.success(), "it started: {ended:?}");
    assert!(
        ended.stderr.lines().count() <= 3,
        "more than it takes to say: {}",
        ended.stderr
    );
    Ok(ended)
}

#[test]
fn a_port_in_use_is_named() -> Result<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port();
    let ended = refused(|setup| setup.port(port))?;
    assert!(ended.stderr.contains(&port.to_string()), "{ended:?}");
    assert!(ended.stderr.contains("PORT"), "{ended:?}");
    Ok(())
}

#[test]
fn settings_out_of_range_are_named_with_value_and_range() -> Result<()> {
    let ended = refused(|setup| {
        setup
            .env("SIGNED_JOB_TTL_SEC", "5")
            .env("WORKER_INVITE_TTL_SEC", "lots")
    })?;
    for word in [
        "SIGNED_JOB_TTL_SEC",
        "5",
        "10",
        "900",
        "WORKER_INVITE_TTL_SEC",
        "lots",
    ] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn keys_that_do_not_fit_are_refused() -> Result<()> {
    let keys: serde_json::Value = serde_json::from_str(shared::envelope::vectors::KEYS_JSON)?;
    let key = |name: &str, part: &str| keys[name][part].as_str().unwrap().to_owned();
    let mismatch = refused(|setup| {
        setup
            .env("JOB_SIGNING_PRIVATE_KEY_B64", key("signer", "pkcs8"))
            .env("JOB_SIGNING_PUBLIC_KEY_B64", key("other", "spki"))
    })?;
    assert!(mismatch.stderr.contains("JOB_SIGNING_"), "{mismatch:?}");
    let garbage = refused(|setup| {
        setup
            .env("JOB_SIGNING_PRIVATE_KEY_B64", "bm90IGEga2V5")
            .env("JOB_SIGNING_PUBLIC_KEY_B64", key("other", "spki"))
    })?;
    assert!(
        garbage.stderr.contains("JOB_SIGNING_PRIVATE_KEY_B64"),
        "{garbage:?}"
    );
    for ended in [mismatch, garbage] {
        assert!(
            !ended.stderr.contains(&key("signer", "pkcs8")),
            "a secret was printed"
        );
    }
    Ok(())
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() -> Result<()> {
    let elsewhere = TempDir::new()?;
    let file = elsewhere.path().join("a-file");
    fs::write(&file, "")?;
    let ended = refused(|setup| setup.env("DATA_DIR", &file))?;
    assert!(ended.stderr.contains("a-file"), "{ended:?}");
    Ok(())
}

#[test]
fn an_env_file_that_is_not_there_is_named() -> Result<()> {
    let ended = refused(|setup| setup.arg("--env-file").arg("missing.env"))?;
    assert!(ended.stderr.contains("missing.env"), "{ended:?}");
    Ok(())
}
