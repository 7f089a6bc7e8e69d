//! Rows of the table: a sentence of the contract, what is asked, and what must be answered.
//!
//! Texts of a request may name what earlier answers held (`{job}`), as patterns do.

use serde_json::Value;

use crate::answer::Expect;
use crate::pattern::Known;
use crate::worker::Device;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Below the server's base path.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Sends the client key as a bearer.
    pub(crate) has_key: bool,
    /// From the root of the server instead of its base path.
    pub(crate) at_root: bool,
}

impl Ask {
    fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            has_key: true,
            at_root: false,
        }
    }

    /// With another method.
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Without the client key.
    pub(crate) fn anonymous(mut self) -> Self {
        self.has_key = false;
        self
    }

    /// From the root of the server.
    pub(crate) fn at_root(mut self) -> Self {
        self.at_root = true;
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With these bytes as body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// `GET path` with the client key.
pub(crate) fn get(path: &str) -> Ask {
    Ask::new("GET", path)
}

/// `POST path` with the client key and a JSON body.
pub(crate) fn post(path: &str, body: &Value) -> Ask {
    Ask::new("POST", path)
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// What a row does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Asks once, or until the answer has this value at this place (a JSON pointer).
    Ask {
        ask: Box<Ask>,
        until: Option<(&'static str, Value)>,
    },
    /// Asks this often and records nothing.
    Repeat(Box<Ask>, usize),
    /// Decodes what is remembered; what it shows is recorded.
    Decode(fn(&Known) -> Value),
    /// Runs `cluster` with these arguments.
    Run(Vec<String>),
    /// Starts another server with a setting that it must refuse.
    Refuse(&'static str, String),
    /// Reads of `cluster-server --help` what is said of a setting.
    Help(&'static str),
    /// Opens a worker's socket and says hello as this worker, with this invite.
    Join(&'static str, &'static str, Device),
    /// The worker leaves.
    Leave(&'static str),
    /// The worker sends the results that it has held back.
    Release(&'static str),
    /// Moves the expiry of every invite into the past, in the server's database.
    ExpireInvites,
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Section of `HTTP_API`.
    pub(crate) section: &'static str,
    /// The sentence.
    pub(crate) claim: String,
    pub(crate) act: Act,
    /// `None` for what only prepares the next rows.
    pub(crate) expect: Option<Expect>,
}

/// A request and its answer.
pub(crate) fn row(section: &'static str, claim: &str, ask: Ask, expect: Expect) -> Row {
    Row {
        section,
        claim: claim.into(),
        act: Act::Ask {
            ask: Box::new(ask),
            until: None,
        },
        expect: Some(expect),
    }
}

/// Something that happens, and what is seen of it.
pub(crate) fn seen(section: &'static str, claim: &str, act: Act, expect: Expect) -> Row {
    Row {
        section,
        claim: claim.into(),
        act,
        expect: Some(expect),
    }
}

/// Something that happens between two questions.
pub(crate) fn step(claim: &str, act: Act) -> Row {
    Row {
        section: "",
        claim: claim.into(),
        act,
        expect: None,
    }
}

impl Row {
    /// Asks again until the answer has `value` at `pointer`.
    pub(crate) fn until(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        if let Act::Ask { until, .. } = &mut self.act {
            *until = Some((pointer, value.into()));
        }
        self
    }
}

/// Rows that are put to one server, in order.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// Its settings.
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) rows: Vec<Row>,
}
