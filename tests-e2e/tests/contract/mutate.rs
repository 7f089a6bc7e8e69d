//! Changes one field at a time in recorded answers, and asks whether anybody notices.
//!
//! A field is whatever can be dropped or changed: the status, each header, each member and element
//! of the body, down to the leaves. For each of them some change must be told from the answer:
//! that it is gone, that it is null, that it is of another type, that it has another value. A value
//! that may be any of its kind (a time, a duration, a score) is changed to one that its kind does not
//! have; how many of these there are is counted, too.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::record::Recorded;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) answers: usize,
    pub(crate) fields: usize,
    pub(crate) mutations: usize,
    /// Fields whose every small change is noticed.
    pub(crate) pinned: usize,
    /// Fields and changes that nobody noticed.
    pub(crate) survivors: Vec<String>,
}

/// A kind of change, and the changes of that kind: one of them must be noticed.
struct Change {
    what: &'static str,
    answers: Vec<Answer>,
}

/// Mutates all of them.
pub(crate) fn every_field(recorded: &[Recorded]) -> Figures {
    let mut figures = Figures {
        answers: recorded.len(),
        ..Figures::default()
    };
    for record in recorded {
        let mut fields = vec![("status".to_owned(), status_changes(&record.answer))];
        fields.extend(header_fields(&record.answer));
        fields.extend(body_fields(&record.answer));
        if !record.expect.is_http {
            fields.retain(|(name, _)| name != "status");
        }
        for (name, changes) in fields {
            figures.fields += 1;
            figures.try_field(record, &name, &changes);
        }
    }
    figures
}

impl Figures {
    fn try_field(&mut self, record: &Recorded, name: &str, changes: &[Change]) {
        let mut is_pinned = true;
        for change in changes {
            let noticed = change.answers.iter().map(|answer| {
                let faults = record.expect.judge(answer, &record.known);
                !faults.is_empty()
            });
            let noticed: Vec<bool> = noticed.collect();
            self.mutations += noticed.len();
            is_pinned &= noticed.iter().all(|noticed| *noticed);
            if !noticed.contains(&true) {
                let survivor = format!("{}: {name} {}", record.place, change.what);
                self.survivors.push(survivor);
            }
        }
        self.pinned += usize::from(is_pinned);
    }
}

fn status_changes(answer: &Answer) -> Vec<Change> {
    let with = |status| Answer {
        status,
        ..answer.clone()
    };
    let other_class = if answer.status < 400 { 500 } else { 200 };
    vec![
        changed("is the next", vec![with(answer.status + 1)]),
        changed("is of another class", vec![with(other_class)]),
    ]
}

fn header_fields(answer: &Answer) -> Vec<(String, Vec<Change>)> {
    let field = |name: &String| {
        let mut without = answer.clone();
        let value = without.headers.remove(name).unwrap_or_default();
        let with = |value: String| {
            let mut changed = without.clone();
            changed.headers.insert(name.clone(), value);
            changed
        };
        let changes = vec![
            changed("is dropped", vec![without.clone()]),
            changed("is empty", vec![with(String::new())]),
            changed("is another", other_texts(&value).map(with).into()),
        ];
        (format!("header {name}"), changes)
    };
    answer.headers.keys().map(field).collect()
}

fn body_fields(answer: &Answer) -> Vec<(String, Vec<Change>)> {
    let mut places = vec![String::new()];
    let mut fields = Vec::new();
    while let Some(place) = places.pop() {
        let value = answer.body.pointer(&place).expect("a place in the body");
        places.extend(inner(value).map(|name| format!("{place}/{name}")));
        let with = |value: Value| {
            let mut changed = answer.clone();
            *changed.body.pointer_mut(&place).expect("the same place") = value;
            changed
        };
        let mut changes = Vec::new();
        if let Some(without) = without(&answer.body, &place) {
            let dropped = Answer {
                body: without,
                ..answer.clone()
            };
            changes.push(changed("is dropped", vec![dropped]));
        }
        for (what, values) in other_values(value) {
            changes.push(changed(what, values.into_iter().map(with).collect()));
        }
        fields.push((format!("body{place}"), changes));
    }
    fields
}

fn changed(what: &'static str, answers: Vec<Answer>) -> Change {
    Change { what, answers }
}

/// Names of members, or positions of elements, as a JSON pointer has them.
fn inner(value: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    match value {
        Value::Object(members) => {
            let names = members.keys();
            Box::new(names.map(|name| name.replace('~', "~0").replace('/', "~1")))
        }
        Value::Array(elements) => Box::new((0..elements.len()).map(|at| at.to_string())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Box::new(std::iter::empty())
        }
    }
}

/// The body without what is at `place`; `None` for the body itself.
fn without(body: &Value, place: &str) -> Option<Value> {
    let (parent, name) = place.rsplit_once('/')?;
    let mut body = body.clone();
    match body.pointer_mut(parent)? {
        Value::Object(members) => {
            members.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Value::Array(elements) => {
            elements.remove(name.parse().ok()?);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    }
    Some(body)
}

/// Values in place of one, by how they differ.
fn other_values(value: &Value) -> Vec<(&'static str, Vec<Value>)> {
    let mut values = match value {
        Value::Null => vec![("is no longer null", vec![json!(0)])],
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => vec![("is null", vec![Value::Null])],
    };
    values.extend(match value {
        Value::Null => vec![("is a text", vec![json!("~")])],
        Value::Bool(truth) => vec![
            ("is a text", vec![json!(truth.to_string())]),
            ("is another", vec![json!(!truth)]),
        ],
        Value::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            let next = number
                .as_i64()
                .map_or(json!(float + 1.0), |int| json!(int + 1));
            vec![
                ("is a text", vec![json!(number.to_string())]),
                ("is another", vec![next, json!(-float - 1.5)]),
            ]
        }
        Value::String(text) => vec![
            ("is a number", vec![json!(7)]),
            ("is another", other_texts(text).map(Value::String).into()),
        ],
        Value::Array(elements) => {
            let mut more = elements.clone();
            more.push(json!("~"));
            vec![
                ("is a text", vec![json!("~")]),
                ("has one more", vec![Value::Array(more)]),
            ]
        }
        Value::Object(_) => vec![("is a list", vec![json!([])])],
    });
    values
}

/// The text with one character more, and none.
fn other_texts(text: &str) -> [String; 2] {
    let none = if text.is_empty() { "~~" } else { "" };
    [format!("{text}~"), none.into()]
}

#[cfg(test)]
mod tests {
    use crate::answer::Expect;
    use crate::pattern::Known;

    use super::*;

    fn figures(pattern: Value) -> Figures {
        let record = Recorded {
            place: "row".into(),
            expect: Expect::seen(pattern),
            answer: Answer {
                status: 0,
                headers: Default::default(),
                body: json!({"n": 7, "list": [null]}),
            },
            known: Known::new(),
        };
        every_field(&[record])
    }

    #[test]
    fn what_nobody_looks_at_survives() {
        let strict = figures(json!({"n": "<int>", "list": [null]}));
        assert_eq!(strict.survivors, Vec::<String>::new());
        assert_eq!(
            (strict.fields, strict.pinned),
            (4, 3),
            "n may be any integer"
        );
        let lax = figures(json!({"n": "<maybe int>", "list": ["<maybe text>"]}));
        assert_eq!(
            lax.survivors,
            ["row: body/list/0 is a text", "row: body/n is null"],
        );
    }
}
