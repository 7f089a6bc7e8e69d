//! The table: what the contract says, in its order, as rows for real servers.
//!
//! One file for each chapter of `HTTP_API`. Section 15 (headers) is part of every row (`answer`),
//! sections 8 and 14 need real tabs and are walked by the browser tests.

mod command_line;
mod errors;
mod events;
mod invites;
mod keys;
mod metrics;
mod paths;
mod rate;
mod results;
mod service;
mod settings;
mod shapes;
mod states;
mod submissions;
mod tokens;

use crate::row::{Act, Stage};

/// Key of the clients: 32 hexadecimal digits, so that it has other forms too.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// All of it.
pub(crate) fn stages() -> Vec<Stage> {
    let mut stages = vec![
        paths::stage(),
        paths::below_a_base_path(),
        keys::of_bytes(),
        keys::of_text(),
        tokens::latest_only(),
        tokens::any(),
        errors::stage(),
        rate::stage(),
        service::stage(),
        service::other_settings(),
        invites::stage(),
        invites::other_settings(),
        submissions::stage(),
        states::stage(),
        states::one_worker(),
        results::stage(),
        events::stage(),
        events::small_buffer(),
        metrics::stage(),
        settings::stage(),
        command_line::stage(),
    ];
    for stage in &mut stages {
        expect_rate_headers(stage);
    }
    stages
}

/// Section 3: all answers of the API tell how the caller stands.
fn expect_rate_headers(stage: &mut Stage) {
    for row in &mut stage.rows {
        let (Act::Ask { ask, .. }, Some(expect)) = (&row.act, &mut row.expect) else {
            continue;
        };
        if !ask.path.to_ascii_lowercase().starts_with("/api/") || ask.at_root {
            continue;
        }
        for (name, pattern) in [
            ("ratelimit-limit", "1200"),
            ("ratelimit-remaining", "1200"),
            ("ratelimit-reset", "60"),
            ("ratelimit-policy", "1200;w=60"),
        ] {
            let headers = &mut expect.headers;
            headers.entry(name.into()).or_insert_with(|| pattern.into());
        }
    }
}
