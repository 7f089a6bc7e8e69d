//! A finite f64, as JSON has them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_SAFE_INTEGER;

/// Finite and never `-0.0`, hence totally ordered.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub(super) struct Number(f64);

impl Number {
    /// What counts as numeric: a finite JSON number or a boolean. `text` is one JSON value.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"true" => Some(Self::from(true)),
            b"false" => Some(Self::from(false)),
            [b'-' | b'0'..=b'9', ..] => match short_integer(text) {
                Some(integer) => Some(Self(integer as f64)),
                None => text.parse::<f64>().ok()?.try_into().ok(),
            },
            _ => None,
        }
    }

    pub(super) const fn nearest_to(value: u64) -> Self {
        Self(value as f64)
    }

    pub(super) const fn get(self) -> f64 {
        self.0
    }

    /// The value as an integer, where it is one of at most 2^53 - 1 in magnitude.
    pub(super) fn as_safe_integer(self) -> Option<i64> {
        let is_safe = self.0.abs() <= MAX_SAFE_INTEGER as f64 && self.0.trunc() == self.0;
        is_safe.then_some(self.0 as i64)
    }

    pub(super) fn min(self, other: Self) -> Self {
        if self.total_cmp(other) == Ordering::Greater {
            other
        } else {
            self
        }
    }

    pub(super) fn max(self, other: Self) -> Self {
        if self.total_cmp(other) == Ordering::Less {
            other
        } else {
            self
        }
    }

    fn total_cmp(self, other: Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Reads up to 15 digits, which an f64 holds exactly: the short way for nearly every number.
fn short_integer(text: &str) -> Option<i64> {
    if text.len() > 15 {
        return None;
    }
    text.parse().ok()
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self(f64::from(u8::from(value)))
    }
}

impl From<u8> for Number {
    fn from(value: u8) -> Self {
        Self(f64::from(value))
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        number.0
    }
}

/// The value is NaN or infinite.
#[derive(Debug, thiserror::Error)]
#[error("not a finite number")]
pub(super) struct NotFinite;

impl TryFrom<f64> for Number {
    type Error = NotFinite;

    fn try_from(value: f64) -> Result<Self, NotFinite> {
        // Adding zero turns -0.0 into 0.0 and nothing else.
        value
            .is_finite()
            .then_some(Self(value + 0.0))
            .ok_or(NotFinite)
    }
}
