//! What a client sees when signed in: a new job, devices, and how the job goes.
//!
//! What grows by itself comes last in its column, so that nothing moves away from under a pointer.

use leptos::prelude::*;

use crate::app::Store;
use crate::components::devices::Devices;
use crate::components::job_panel::JobPanel;
use crate::components::new_job::NewJob;

/// The signed-in page. What is missing comes first: devices, or else a job.
#[component]
pub(crate) fn Dashboard() -> impl IntoView {
    let store = expect_context::<Store>();
    let devices_first = store.peek(|state| state.devices_first);
    let (first, second) = if devices_first {
        (
            view! { <Devices/> }.into_any(),
            view! { <NewJob/> }.into_any(),
        )
    } else {
        (
            view! { <NewJob/> }.into_any(),
            view! { <Devices/> }.into_any(),
        )
    };
    view! {
        <main class=if devices_first { "wide devices-first" } else { "wide" }>
            {first}
            {second}
            <JobPanel/>
        </main>
    }
}
