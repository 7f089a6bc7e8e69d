//! How much one address may do: requests, wrong keys, guessed links, connections, sockets.
//!
//! Lives here: which limits there are, and the layer that holds requests to them. Not here: counting
//! (`limits/windows`, `limits/places`), whose address it is (`proxy`). A limit on attempts is asked
//! before anything is compared, so that its refusal tells nothing about what was tried. Loopback is
//! exempt from all that counts requests: it is this machine, or a proxy that nobody told us of.

mod places;
mod windows;

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::address::AddressBlock;
use crate::api::ApiError;
use crate::app::App;
use crate::proxy::Caller;

use windows::{FixedWindows, Reservation};

pub(crate) use places::{Place, Places};

/// Wrong keys of one address in a minute. Who mistypes one does not come near; who guesses would
/// need longer than the universe is old.
const WRONG_KEYS: RateLimit = RateLimit {
    max: 30,
    window: Duration::from_secs(60),
};
/// Invite links of one address in a minute that lead nowhere. The shortest codes that can be set
/// have four characters, 923,521 of them.
const DEAD_LINKS: RateLimit = RateLimit {
    max: 30,
    window: Duration::from_secs(60),
};
/// Workers fetch contents more often than clients call, many of them behind one address.
const CONTENT_FACTOR: u64 = 10;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// So many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many, at least 1.
    pub max: u64,
    /// In which time.
    pub window: Duration,
}

/// All limits on what an address asks.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Paths of the API begin with it.
    api_prefix: String,
    /// Paths of contents, which have a limit of their own, begin with it.
    content_prefix: String,
    api: FixedWindows,
    contents: FixedWindows,
    wrong_keys: FixedWindows,
    dead_links: FixedWindows,
}

impl Limits {
    /// Limits of a server below `base_path`, in lower case.
    pub(crate) fn new(base_path: &str, api: RateLimit) -> Self {
        let contents = RateLimit {
            max: api.max.saturating_mul(CONTENT_FACTOR),
            ..api
        };
        Self {
            api_prefix: format!("{base_path}/api/"),
            content_prefix: format!("{base_path}/api/content/"),
            api: FixedWindows::new(api),
            contents: FixedWindows::new(contents),
            wrong_keys: FixedWindows::new(WRONG_KEYS),
            dead_links: FixedWindows::new(DEAD_LINKS),
        }
    }

    /// The limit that requests for a path count against, if any.
    fn of_path(&self, path: &str) -> Option<&FixedWindows> {
        if path.starts_with(&self.content_prefix) {
            Some(&self.contents)
        } else if path.starts_with(&self.api_prefix) {
            Some(&self.api)
        } else {
            None
        }
    }

    /// Begins an attempt at a key; to be done before the key is looked at.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`] after too many wrong ones.
    pub(crate) fn attempt_key(&self, caller: Caller) -> Result<Attempt<'_>, ApiError> {
        Attempt::begin(&self.wrong_keys, caller)
    }

    /// Begins an attempt at an invite link; to be done before the link is looked up.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`] after too many that led nowhere.
    pub(crate) fn attempt_link(&self, caller: Caller) -> Result<Attempt<'_>, ApiError> {
        Attempt::begin(&self.dead_links, caller)
    }
}

/// An attempt at something secret that may be looked at. It counts as failed until it is
/// forgiven: no more are looked at at the same time than may fail.
#[derive(Debug)]
pub(crate) struct Attempt<'l> {
    failures: &'l FixedWindows,
    /// `None` for a caller that is exempt.
    reservation: Option<Reservation>,
}

impl<'l> Attempt<'l> {
    fn begin(failures: &'l FixedWindows, caller: Caller) -> Result<Self, ApiError> {
        let reserve = |block| failures.reserve(block, Instant::now());
        let reserved = counted(caller).map(reserve).transpose();
        let reservation =
            reserved.map_err(|retry_after| ApiError::TooManyRequests { retry_after })?;
        Ok(Self {
            failures,
            reservation,
        })
    }

    /// Counts it no more: it has not failed.
    pub(crate) fn forgive(self) {
        if let Some(reservation) = self.reservation {
            self.failures.give_back(reservation);
        }
    }
}

/// Whom requests of a caller count for; nobody if it is exempt.
fn counted(caller: Caller) -> Option<AddressBlock> {
    (!caller.address.is_loopback()).then(|| AddressBlock::of(caller.address))
}

/// Refuses requests beyond the limit of their path, and tells everybody how they stand.
pub(crate) async fn hold(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let Some(windows) = app.limits.of_path(request.uri().path()) else {
        return next.run(request).await;
    };
    let (standing, is_over) = match counted(caller) {
        Some(block) => windows.count(block, Instant::now()),
        None => (windows.fresh(), false),
    };
    let mut response = if is_over {
        let retry_after = standing.reset;
        ApiError::TooManyRequests { retry_after }.into_response()
    } else {
        next.run(request).await
    };
    let limit = windows.limit();
    let policy = format!("{};w={}", limit.max, whole_seconds(limit.window));
    for (name, value) in [
        (LIMIT, limit.max.to_string()),
        (REMAINING, standing.remaining.to_string()),
        (RESET, whole_seconds(standing.reset).to_string()),
        (POLICY, policy),
    ] {
        let value = HeaderValue::from_str(&value).expect("digits and punctuation");
        response.headers_mut().insert(name, value);
    }
    response
}

/// Seconds, rounded up, so that who waits them does not come too early.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
