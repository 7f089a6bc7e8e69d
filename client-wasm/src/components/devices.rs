//! Who computes, and how more can join.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::app::Store;
use crate::state::{Event, Invite, Worker};

/// Connected workers and the invite.
#[component]
pub(crate) fn Devices() -> impl IntoView {
    let store = expect_context::<Store>();
    let is_busy = RwSignal::new(false);
    let invite = store.select(|state| state.invite.clone());
    let workers = store.select(|state| state.workers.clone());
    let make_invite = move |_| {
        let Some(key) = store.key() else { return };
        is_busy.set(true);
        spawn_local(async move {
            match api::make_invite(&key).await {
                Ok(invite) => store.apply(Event::InviteMade(invite)),
                Err(error) => store.fail(error),
            }
            is_busy.try_set(false);
        });
    };
    view! {
        <section aria-labelledby="devices">
            <h2 id="devices">"Devices"</h2>
            {move || workers.get().map(|list| if list.workers.is_empty() {
                view! {
                    <p id="no-workers">
                        "No device has joined yet. Make an invite, then open its link on any \
                         device with a browser: a laptop, a phone, a TV."
                    </p>
                }.into_any()
            } else {
                view! { <WorkerTable workers=list.workers/> }.into_any()
            })}
            <div class="actions">
                <button id="make-invite" class="primary" disabled=is_busy on:click=make_invite>
                    "Add devices"
                </button>
            </div>
            {move || invite.get().map(|invite| view! { <InviteCard invite/> })}
        </section>
    }
}

#[component]
fn WorkerTable(workers: Vec<Worker>) -> impl IntoView {
    let row = |worker: Worker| {
        view! {
            <tr>
                <td>{worker.worker_id}</td>
                <td>{worker.state}</td>
                <td>{worker.max_slots}</td>
                <td>{worker.in_flight_count}</td>
            </tr>
        }
    };
    view! {
        <div class="scroll" tabindex="0" role="region" aria-labelledby="devices">
            <table id="workers">
                <thead>
                    <tr>
                        <th scope="col">"Device"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Slots"</th>
                        <th scope="col">"Shards held"</th>
                    </tr>
                </thead>
                <tbody>{workers.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[component]
fn InviteCard(invite: Invite) -> impl IntoView {
    let link = invite
        .short_invite_url
        .or(invite.phrase_invite_url)
        .unwrap_or(invite.invite_url);
    view! {
        <h3>"Open this on another device"</h3>
        {invite.invite_qr_data_url.map(|url| view! {
            <img class="qr" src=url.clone() alt="QR code of the invite link" width="320" height="320"/>
            <p><a class="button" href=url download="invite.png">"Download QR code"</a></p>
        })}
        <CopyField id="invite-link" label="Link" text=link/>
        {invite.phrase_code.map(|words| view! {
            <CopyField id="invite-words" label="Words to say aloud" text=words/>
        })}
        <p class="hint">"Lets devices in until " {invite.expires_at} "."</p>
    }
}

#[component]
fn CopyField(id: &'static str, label: &'static str, text: String) -> impl IntoView {
    let is_copied = RwSignal::new(false);
    let copied_text = text.clone();
    let copy = move |_| {
        let Some(window) = web_sys::window() else {
            return;
        };
        let write = window.navigator().clipboard().write_text(&copied_text);
        spawn_local(async move {
            is_copied.set(wasm_bindgen_futures::JsFuture::from(write).await.is_ok());
        });
    };
    view! {
        <label for=id>{label}</label>
        <div class="copy">
            <input id=id class="mono" readonly value=text/>
            <button on:click=copy>{move || if is_copied.get() { "Copied" } else { "Copy" }}</button>
        </div>
    }
}
