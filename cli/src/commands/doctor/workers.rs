//! Is anybody here to do the work?

use serde_json::Value;

use super::asking::Asking;
use super::finding::Finding;
use super::key::Accepted;
use crate::host::Host;

pub(super) fn check(asking: &Asking<'_>, host: &Host, key: &Accepted<'_>) -> Finding {
    let list = asking
        .get("/api/workers", &[key.header()])
        .and_then(|answer| answer.read::<Value>(host));
    let list = match list {
        Ok(list) => list,
        Err(finding) => return finding,
    };
    let number = |name: &str| list[name].as_u64().unwrap_or(0);
    match (number("count"), number("totalSlots")) {
        (0, _) => Finding::warn(
            "none is connected",
            "`cluster invite --qr` makes a link for devices to join by",
        ),
        (1, slots) => Finding::ok(format!("1 is connected, with {slots} slots")),
        (count, slots) => Finding::ok(format!("{count} are connected, with {slots} slots")),
    }
}
