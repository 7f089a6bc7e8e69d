//! What a client sees when signed in: devices, a new job, and how it goes.

use leptos::prelude::*;

use crate::app::Store;
use crate::components::devices::Devices;
use crate::components::job_panel::JobPanel;
use crate::components::new_job::NewJob;
use crate::state::Event;

/// The signed-in page.
#[component]
pub(crate) fn Dashboard() -> impl IntoView {
    let store = expect_context::<Store>();
    let alert = store.select(|state| state.alert.clone());
    view! {
        <main class="wide">
            <div class="column">
                <Show when=move || alert.get().is_some()>
                    <section class="alert" role="alert">
                        <p>{alert}</p>
                        <button on:click=move |_| store.apply(Event::AlertClosed)>"Close"</button>
                    </section>
                </Show>
                <NewJob/>
                <JobPanel/>
            </div>
            <div class="column">
                <Devices/>
            </div>
        </main>
    }
}
