//! Who computes, and how more can join.

use leptos::prelude::*;
use shared::api::{WorkerActivity, WorkerList, WorkerRow};

use crate::app::Store;
use crate::components::invite::Invite;
use crate::format;
use crate::state::State;

/// The invite and the connected workers.
#[component]
pub(crate) fn Devices() -> impl IntoView {
    let store = expect_context::<Store>();
    let workers = store.select(|state| state.workers.clone());
    let summary = store.select(summary);
    view! {
        <section id="devices" aria-labelledby="devices-title">
            <div class="heading">
                <h2 id="devices-title" tabindex="-1">"Devices"</h2>
                <span class="hint" id="summary">{summary}</span>
            </div>
            <Invite/>
            <div class="scroll" id="device-list" tabindex="0" role="region" aria-label="Connected devices">
                {move || workers.get().map(list)}
            </div>
        </section>
    }
}

fn summary(state: &State) -> Option<String> {
    let workers = state.workers.as_ref()?;
    let devices = format::counted(workers.count as u64, "device");
    let slots = format::counted(workers.total_slots, "slot");
    Some(format!("{devices}, {slots}"))
}

fn list(list: WorkerList) -> AnyView {
    if list.workers.is_empty() {
        return view! {
            <p id="no-workers" class="hint">
                "No device has joined yet. Make an invite, then open its link on any device with \
                 a browser: a laptop, a phone, a TV."
            </p>
        }
        .into_any();
    }
    let rows: Vec<AnyView> = list.workers.into_iter().map(row).collect();
    view! {
        <table id="workers">
            <thead>
                <tr>
                    <th scope="col">"Device"</th>
                    <th scope="col">"State"</th>
                    <th scope="col">"Slots"</th>
                    <th scope="col">"In hand"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn row(worker: WorkerRow) -> AnyView {
    let (state, class) = match worker.state {
        WorkerActivity::Idle => ("idle", "dot"),
        WorkerActivity::Busy => ("busy", "dot on"),
    };
    view! {
        <tr>
            <td class="mono">{worker.worker_id.to_string()}</td>
            <td><span class=class aria-hidden="true"></span>{state}</td>
            <td>{worker.max_slots.to_string()}</td>
            <td>{format::grouped(worker.in_flight_count.into())}</td>
        </tr>
    }
    .into_any()
}
