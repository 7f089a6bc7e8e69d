//! Making an invite, and passing it on.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::time::UnixMillis;

use crate::api;
use crate::app::Store;
use crate::browser;
use crate::components::busy::busy_button;
use crate::components::copy_field::copy_field;
use crate::components::field::{Wrong, answer, text, truth};
use crate::form::{invite_label, invite_request};
use crate::format;
use crate::links::InviteLinks;
use crate::state::{Event, Invite as Made, State};

/// The form of an invite, and the invite made last.
#[component]
pub(crate) fn Invite() -> impl IntoView {
    let store = expect_context::<Store>();
    let label = RwSignal::new(String::new());
    let ttl_sec = RwSignal::new(String::new());
    let is_busy = RwSignal::new(false);
    let wrong = Wrong::default();
    let invite = store.select(|state| state.invite.clone());
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if is_busy.get_untracked() {
            return;
        }
        is_busy.set(true);
        wrong.nothing();
        spawn_local(async move {
            let made = make(store, label.get_untracked(), ttl_sec.get_untracked()).await;
            wrong.refused(made.err());
            is_busy.try_set(false);
        });
    };
    view! {
        <form on:submit=submit>
            <div class="row">
                <div>
                    <label for="invite-label">"Label (optional)"</label>
                    <input id="invite-label" maxlength="64" autocomplete="off" bind:value=label/>
                </div>
                <div>
                    <label for="invite-ttl">"Lets devices in for"</label>
                    <select id="invite-ttl" bind:value=ttl_sec>
                        <option value="">"the usual time"</option>
                        <option value="900">"15 minutes"</option>
                        <option value="3600">"1 hour"</option>
                        <option value="28800">"8 hours"</option>
                        <option value="86400">"1 day"</option>
                    </select>
                </div>
            </div>
            <div class="actions">
                {busy_button("make-invite", "Add devices", is_busy)}
            </div>
            {answer("invite-error", wrong.text())}
        </form>
        {move || invite.get().map(|invite| card(store, invite))}
    }
}

async fn make(store: Store, label: String, ttl_sec: String) -> Result<(), String> {
    let Some(key) = store.key() else {
        return Ok(());
    };
    match api::make_invite(&key, &invite_request(&label, &ttl_sec)).await {
        Ok(created) => {
            store.apply(Event::InviteMade {
                created: Box::new(created),
                label: invite_label(&label).map(str::to_owned),
                at: browser::now(),
            });
            Ok(())
        }
        Err(error) => store.failed(error).map_or(Ok(()), Err),
    }
}

fn card(store: Store, invite: Made) -> AnyView {
    let left = store.select_at(left);
    let title = match &invite.label {
        Some(label) => format!("Invite for {label}"),
        None => "Open this on another device".to_owned(),
    };
    let folded = store.select(|state| state.is_invite_folded.then(String::new));
    let is_folded = move || folded.with(Option::is_some);
    let fold = move |_| {
        let is_folded = store.peek(|state| state.is_invite_folded);
        store.apply(Event::InviteFolded(!is_folded));
    };
    let fold_label = text(move || Some(if is_folded() { "Show" } else { "Hide" }.to_owned()));
    let links = InviteLinks::of(&invite.created);
    let only_here = links.is_for_this_computer_only.then(only_here);
    view! {
        <div id="invite" class="card" role="group" aria-labelledby="invite-title">
            <div class="heading">
                <h3 id="invite-title">{title}</h3>
                <button
                    type="button"
                    id="fold-invite"
                    aria-expanded=truth(move || !is_folded())
                    aria-controls="invite-ways"
                    on:click=fold
                >
                    {fold_label}
                </button>
            </div>
            <p class="hint" id="invite-left" role="timer">{left}</p>
            <div id="invite-ways" hidden=folded>
                {only_here}
                <div class="ways">
                    {links.qr_data_url.clone().map(qr_code)}
                    <div>{ways(links)}</div>
                </div>
                <p class="hint">"Unless the server is set otherwise, the next invite takes its place."</p>
            </div>
        </div>
    }
    .into_any()
}

fn only_here() -> AnyView {
    view! {
        <p id="only-here" class="error">
            "Only this computer can open this link: the server listens on its own address \
             alone, or its address in the network is not known. Start it with HOST=0.0.0.0, or \
             open this page under an address that the other devices can use."
        </p>
    }
    .into_any()
}

/// The ways to pass it on, the handiest first.
fn ways(links: InviteLinks) -> Vec<AnyView> {
    let (words, typed_at) = links.words.unzip();
    let typed_at = typed_at.map(|address| {
        view! { <p class="hint" id="typed-at">"Typed at " <b>{address}</b></p> }.into_any()
    });
    let field = |id, label, shown: Option<String>| Some(copy_field(id, label, shown?));
    [
        field("invite-link", "Link", Some(links.handy)),
        field("invite-words", "Words to say aloud", words),
        typed_at,
        field("invite-short", "Short link to type", links.short),
        field("invite-full", "Full link", links.full),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn left(state: &State, now: UnixMillis) -> Option<String> {
    Some(match state.invite.as_ref()?.ends_at.since(now) {
        0 => "This invite has ended. Make another one.".to_owned(),
        ms => format!("Lets devices in for another {}.", format::clock(ms)),
    })
}

fn qr_code(url: String) -> AnyView {
    view! {
        <div>
            <img class="qr" id="invite-qr" src=url.clone() alt="QR code of the link" width="320" height="320"/>
            <p><a class="button" id="download-qr" href=url download="invite.png">"Download QR code"</a></p>
        </div>
    }
    .into_any()
}
