//! A sum that never rounds, whatever the order of its additions.

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};

use super::number::Number;
use super::wide::{self, Nearest, Wide};

/// Integers of at most 2^53 - 1 in magnitude are added in 128 bits, which hold 2^74 of them;
/// everything else in fixed point over the whole range of f64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Parts")]
pub(super) struct ExactSum {
    integer: i128,
    /// Never zero, so that numbers which cancel leave no trace.
    wide: Option<Box<Wide>>,
}

#[derive(Deserialize)]
struct Parts {
    integer: i128,
    wide: Option<Box<Wide>>,
}

impl From<Parts> for ExactSum {
    fn from(parts: Parts) -> Self {
        Self {
            integer: parts.integer,
            wide: parts.wide.filter(|wide| !wide.is_zero()),
        }
    }
}

impl ExactSum {
    /// Bytes that the integer part takes encoded at most, with the mark whether a wide one follows.
    const INTEGER_BYTES: usize = 19 + 1;

    /// Bytes that [`Self::encoded_bytes`] can grow to.
    pub(super) const MAX_ENCODED_BYTES: usize = Self::INTEGER_BYTES + wide::MAX_ENCODED_BYTES;

    pub(super) fn add(&mut self, number: Number) {
        match number.as_safe_integer() {
            Some(integer) => self.add_integer(i128::from(integer)),
            None => self.change_wide(|wide| wide.add_f64(number.get())),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.add_integer(other.integer);
        if let Some(added) = &other.wide {
            self.change_wide(|wide| wide.add_wide(added));
        }
    }

    /// Wraps rather than panics: only a damaged state can hold so much.
    fn add_integer(&mut self, integer: i128) {
        self.integer = self.integer.wrapping_add(integer);
    }

    fn change_wide(&mut self, change: impl FnOnce(&mut Wide)) {
        let mut wide = self.wide.take().unwrap_or_else(|| Box::new(Wide::ZERO));
        change(&mut wide);
        if !wide.is_zero() {
            self.wide = Some(wide);
        }
    }

    /// Bytes that the sum takes encoded, at most.
    pub(super) fn encoded_bytes(&self) -> usize {
        Self::INTEGER_BYTES + self.wide.as_ref().map_or(0, |wide| wide.encoded_bytes())
    }

    /// The f64 nearest to the sum.
    pub(super) fn nearest(&self) -> Nearest {
        self.total().magnitude().nearest()
    }

    /// The whole decimal expansion, such as `-0.30000000000000004`; it always ends.
    pub(super) fn to_decimal(&self) -> String {
        let magnitude = self.total().magnitude();
        let units = BigUint::from_bytes_le(&magnitude.to_le_bytes());
        let unused = units
            .trailing_zeros()
            .map_or(wide::FRACTION_BITS as u64, |bits| {
                bits.min(wide::FRACTION_BITS as u64)
            });
        let units = units >> unused;
        let places = wide::FRACTION_BITS - unused as usize;

        let integer = &units >> places;
        let fraction = units - (&integer << places);
        let sign = if magnitude.is_negative { "-" } else { "" };
        if places == 0 {
            return format!("{sign}{integer}");
        }
        // fraction / 2^places = fraction * 5^places / 10^places
        let digits = fraction * BigUint::from(5_u8).pow(places as u32);
        format!("{sign}{integer}.{:0>places$}", digits.to_string())
    }

    fn total(&self) -> Wide {
        let mut total = self.wide.as_deref().cloned().unwrap_or(Wide::ZERO);
        total.add_integer(self.integer);
        total
    }
}
