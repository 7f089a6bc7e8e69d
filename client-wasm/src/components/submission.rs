//! What happens when a form is sent.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{self, Submission};
use crate::app::Store;
use crate::browser;
use crate::components::field::Wrong;
use crate::form::FieldError;

/// Sends the request that a form makes, unless a field is wrong or one is on its way.
pub(crate) fn submit(
    what: Submission,
    request: Result<String, FieldError>,
    store: Store,
    wrong: Wrong,
    is_busy: RwSignal<bool>,
) {
    let body = match request {
        Ok(body) => body,
        Err(error) => {
            browser::focus(error.field.id());
            return wrong.field(error);
        }
    };
    wrong.nothing();
    let Some(key) = store.key().filter(|_| !is_busy.get_untracked()) else {
        return;
    };
    is_busy.set(true);
    spawn_local(async move {
        match api::submit(&key, what, &body).await {
            Ok((job, note)) => store.job_submitted(job, note),
            Err(error) => wrong.refused(store.failed(error)),
        }
        is_busy.try_set(false);
    });
}
