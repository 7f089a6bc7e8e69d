//! Each layer of the sandbox taken away alone: the self-test refuses the browser, and attacks that
//! the layer stops get somewhere; or another layer covers it.

mod variant;

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context, Result};
use tests_e2e::{Browser, BrowserKind};

use self::variant::{SHIPPED, Served, Variant};
use crate::battery::{Case, Range};

const NO_POLICY: Variant = Variant {
    policy: |_| None,
    ..SHIPPED
};

const DROP_FRAME_ATTRIBUTE: &str = "
    const setAttribute = Element.prototype.setAttribute;
    Element.prototype.setAttribute = function (name, value) {
        if (name !== 'sandbox') setAttribute.call(this, name, value);
    };
";

const NO_FRAME_ATTRIBUTE: Variant = Variant {
    prelude: DROP_FRAME_ATTRIBUTE,
    ..SHIPPED
};

const NO_OPAQUE_ORIGIN: Variant = Variant {
    prelude: DROP_FRAME_ATTRIBUTE,
    policy: |policy| Some(policy.replace("sandbox allow-scripts; ", "")),
    ..SHIPPED
};

const BLOB_WORKERS: Variant = Variant {
    broker: &[(
        "new Worker(EXECUTOR)",
        "new Worker(URL.createObjectURL(new Blob([atob(EXECUTOR.split(',')[1])], \
         { type: 'text/javascript' })))",
    )],
    policy: |policy| Some(policy.replace("worker-src data:", "worker-src blob:")),
    ..SHIPPED
};

const NO_DELETIONS: Variant = Variant {
    trampoline: &[("const left = removeGlobals();", "const left = [];")],
    ..SHIPPED
};

const NO_TIMER_GUARD: Variant = Variant {
    trampoline: &[
        ("guardTimer('setTimeout');", ""),
        ("guardTimer('setInterval');", ""),
    ],
    ..SHIPPED
};

const NO_CANVAS_GUARD: Variant = Variant {
    trampoline: &[("    guardCanvas();\n", "")],
    ..SHIPPED
};

const NO_KEY_GUARD: Variant = Variant {
    trampoline: &[("    guardKeys();\n", "")],
    ..SHIPPED
};

const NO_PRIMORDIALS: Variant = Variant {
    trampoline: &[(
        "message: eventData(event), next: null",
        "message: event.data, next: null",
    )],
    ..SHIPPED
};

/// A part of the sandbox, and what is known of a sandbox without it.
struct Layer {
    name: &'static str,
    without: Variant,
    /// What the self-test finds open then; nothing where it notices nothing.
    open: &'static [&'static str],
    /// Cases that come out wrong then.
    fails: &'static [&'static str],
    /// Cases that come out wrong in Chromium, but not in Firefox.
    fails_in_chromium: &'static [&'static str],
    /// Cases that come out wrong in Firefox, but not in Chromium.
    fails_in_firefox: &'static [&'static str],
    /// Cases that other layers stop as well.
    holds: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "policy of the frame",
        without: NO_POLICY,
        open: &["fetch: open", "import: open", "blobWorker: open"],
        fails: &["net-import-data", "net-import-http", "net-import-eval"],
        fails_in_chromium: &[],
        fails_in_firefox: &[],
        holds: &["net-fetch", "net-websocket", "net-nested-worker"],
    },
    Layer {
        name: "sandbox attribute of the frame",
        without: NO_FRAME_ATTRIBUTE,
        open: &[],
        fails: &[],
        fails_in_chromium: &[],
        fails_in_firefox: &[],
        holds: &["dom-access", "nav-top", "store-idb", "store-localstorage"],
    },
    Layer {
        name: "opaque origin of the frame",
        without: NO_OPAQUE_ORIGIN,
        open: &["frame origin", "frame parent", "frame storage"],
        fails: &[],
        fails_in_chromium: &[],
        fails_in_firefox: &[],
        holds: &["dom-access", "nav-top", "store-idb", "store-localstorage"],
    },
    Layer {
        name: "data: workers",
        without: BLOB_WORKERS,
        open: &["blobWorker: open"],
        fails: &[],
        fails_in_chromium: &["use-secure-context"],
        fails_in_firefox: &[],
        holds: &["chan-broadcast-parent", "net-fetch"],
    },
    Layer {
        name: "deletion of globals",
        without: NO_DELETIONS,
        open: &["Worker", "BroadcastChannel", "indexedDB"],
        fails: &["chan-scheduler", "net-nested-worker", "net-report"],
        fails_in_chromium: &["gfx-webgpu"],
        fails_in_firefox: &[],
        holds: &[
            "net-eventsource",
            "net-fetch",
            "net-websocket",
            "net-webrtc",
        ],
    },
    Layer {
        name: "guard of the timers",
        without: NO_TIMER_GUARD,
        open: &["text-timers"],
        fails: &["two-interval"],
        fails_in_chromium: &[],
        fails_in_firefox: &["x-settimeout-string-import"],
        holds: &[],
    },
    Layer {
        name: "guard of the canvas",
        without: NO_CANVAS_GUARD,
        open: &[],
        fails: &["gfx-kind-changes"],
        fails_in_chromium: &["gfx-webgl"],
        fails_in_firefox: &[],
        holds: &[],
    },
    Layer {
        name: "guard of the keys",
        without: NO_KEY_GUARD,
        open: &[],
        fails: &["loop-generate"],
        fails_in_chromium: &[],
        fails_in_firefox: &[],
        holds: &[],
    },
    Layer {
        name: "captured primordials",
        without: NO_PRIMORDIALS,
        open: &[],
        fails: &["two-evdata"],
        fails_in_chromium: &[],
        fails_in_firefox: &[],
        holds: &["two-callapply"],
    },
    Layer {
        name: "self-test",
        without: SHIPPED,
        open: &[],
        fails: &[],
        fails_in_chromium: &[],
        fails_in_firefox: &[],
        holds: &["net-fetch", "net-import-http", "store-idb", "two-evdata"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_layer_alone_is_missed_or_covered_in_chromium() -> Result<()> {
    each_layer_is_missed_or_covered(BrowserKind::Chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_layer_alone_is_missed_or_covered_in_firefox() -> Result<()> {
    each_layer_is_missed_or_covered(BrowserKind::Firefox).await
}

async fn each_layer_is_missed_or_covered(kind: BrowserKind) -> Result<()> {
    for layer in LAYERS {
        // One of its own, since what gets out of its sandbox may leave a browser in any state.
        let browser = Browser::launch(kind).await?;
        let looked = look_at(layer, kind, &browser).await;
        looked.with_context(|| format!("without the {}", layer.name))?;
    }
    Ok(())
}

async fn look_at(layer: &Layer, kind: BrowserKind, browser: &Browser) -> Result<()> {
    let served = Served::new(&layer.without)?;
    let open = served.found_open(browser).await?.unwrap_or_default();
    let open: Vec<&str> = open.split(", ").collect();
    for name in layer.open {
        assert!(open.contains(name), "{name} is not in {open:?}");
    }
    let mut fails = BTreeSet::from_iter(layer.fails.iter().copied());
    let mut holds = BTreeSet::from_iter(layer.holds.iter().copied());
    let (here, elsewhere) = match kind {
        BrowserKind::Chromium => (layer.fails_in_chromium, layer.fails_in_firefox),
        BrowserKind::Firefox => (layer.fails_in_firefox, layer.fails_in_chromium),
    };
    fails.extend(here);
    holds.extend(elsewhere);
    let cases = fails.union(&holds).map(|name| Case::named(name, kind));
    let mut cases = cases.collect::<Result<VecDeque<_>>>()?;
    let served = Served::without_self_test(&layer.without)?;
    let mut range = Range::open(browser, served.server().await?).await?;
    let faults = range.run(|| cases.pop_front()).await?;
    let failed: BTreeSet<&str> = faults.keys().map(String::as_str).collect();
    assert_eq!(failed, fails, "without the {}: {faults:#?}", layer.name);
    Ok(())
}
