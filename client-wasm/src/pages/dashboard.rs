//! What a client sees when signed in: a new job, devices, and how the job goes.
//!
//! What grows by itself comes last in its column, so that nothing moves away from under a pointer.

use leptos::prelude::*;

use crate::components::devices::Devices;
use crate::components::job_panel::JobPanel;
use crate::components::new_job::NewJob;

/// The signed-in page.
#[component]
pub(crate) fn Dashboard() -> impl IntoView {
    view! {
        <main class="wide">
            <NewJob/>
            <Devices/>
            <JobPanel/>
        </main>
    }
}
