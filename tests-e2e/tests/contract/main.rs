//! `HTTP_API` from top to bottom, from one table, put to the real server.
//!
//! `table` says what the contract says; `record` asks real servers with native workers; `answer` and
//! `pattern` judge what was recorded; `mutate` proves that they would notice. `cargo xtask contract`
//! runs it alone and shows the figures.

#![allow(clippy::unwrap_used, reason = "the helpers of tests, too")]

mod answer;
mod mutate;
mod pattern;
mod record;
mod row;
mod script;
mod table;
mod worker;

use anyhow::{Result, ensure};

use crate::record::Recorded;

/// What every stage of the table answers, each as it must be.
async fn record() -> Result<Vec<Recorded>> {
    let mut playing = Vec::new();
    for stage in table::stages() {
        playing.push(tokio::spawn(record::stage(stage)));
    }
    let (mut recorded, mut broken) = (Vec::new(), Vec::new());
    for stage in playing {
        match stage.await? {
            Ok(answers) => recorded.extend(answers),
            Err(error) => broken.push(format!("{error:#}")),
        }
    }
    broken.extend(faults(&recorded));
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(recorded)
}

fn faults(recorded: &[Recorded]) -> Vec<String> {
    let of_one = |record: &Recorded| {
        let faults = record.expect.judge(&record.answer, &record.known);
        let place = record.place.clone();
        faults
            .into_iter()
            .map(move |fault| format!("{place}: {fault}"))
    };
    recorded.iter().flat_map(of_one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_contract_says() -> Result<()> {
    let recorded = record().await?;
    ensure!(recorded.len() > 500, "only {} answers", recorded.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; `cargo xtask contract --mutate` runs it"]
async fn no_field_of_an_answer_can_change_unnoticed() -> Result<()> {
    let figures = mutate::every_field(&record().await?);
    println!(
        "{} answers, {} fields, {} mutations, {} survivors; {} fields may have any value of their kind",
        figures.answers,
        figures.fields,
        figures.mutations,
        figures.survivors.len(),
        figures.fields - figures.pinned,
    );
    ensure!(
        figures.survivors.is_empty(),
        "{}",
        figures.survivors.join("\n")
    );
    Ok(())
}
