//! The state of `sum`: one exact sum a field, and the bounds of them all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ReduceError;
use super::exact_sum::ExactSum;
use super::number::Number;
use super::reader::Found;
use crate::limits::{MAX_REDUCER_KEYS, MAX_REDUCER_STATE_BYTES};

/// Bytes around a name and its sum in a map: the name's length.
const KEY_OVERHEAD: usize = 3;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Parts")]
pub(super) struct Sums {
    /// In the order of the reducer's fields.
    pub(super) named: Vec<ExactSum>,
    /// What `"*"` found beside them.
    pub(super) extras: BTreeMap<String, ExactSum>,
    /// What the encoding takes at most; follows from the rest.
    #[serde(skip_serializing)]
    bytes: usize,
}

#[derive(Deserialize)]
struct Parts {
    named: Vec<ExactSum>,
    extras: BTreeMap<String, ExactSum>,
}

impl From<Parts> for Sums {
    fn from(Parts { named, extras }: Parts) -> Self {
        let bytes = named.iter().map(ExactSum::encoded_bytes).sum::<usize>()
            + extras
                .iter()
                .map(|(name, sum)| entry_bytes(name, sum))
                .sum::<usize>();
        Self {
            named,
            extras,
            bytes,
        }
    }
}

fn entry_bytes(name: &str, sum: &ExactSum) -> usize {
    name.len() + KEY_OVERHEAD + sum.encoded_bytes()
}

impl Sums {
    pub(super) fn zero(named: usize) -> Self {
        Self::from(Parts {
            named: vec![ExactSum::default(); named],
            extras: BTreeMap::new(),
        })
    }

    /// Whether this is the state of a reducer with so many fields.
    pub(super) fn fits(&self, named: usize) -> bool {
        self.named.len() == named
    }

    /// Adds one number to each named field.
    pub(super) fn add_named(&mut self, numbers: &[Number]) -> Result<(), ReduceError> {
        let growth = numbers.len() * ExactSum::MAX_ENCODED_BYTES;
        self.change(growth, |sums| {
            for (position, &number) in numbers.iter().enumerate() {
                sums.change_named(position, |sum| sum.add(number));
            }
        })
    }

    /// Adds every number that was found, to a named field where it has that name.
    pub(super) fn add_all(
        &mut self,
        fields: &[String],
        found: &[Found<'_>],
    ) -> Result<(), ReduceError> {
        let growth = found
            .iter()
            .map(|(name, _)| name.len() + KEY_OVERHEAD + ExactSum::MAX_ENCODED_BYTES)
            .sum();
        let positions = positions(fields);
        self.change(growth, |sums| {
            for (name, number) in found {
                match positions.get(&**name) {
                    Some(&position) => sums.change_named(position, |sum| sum.add(*number)),
                    None => sums.change_extra(name, |sum| sum.add(*number)),
                }
            }
        })
    }

    pub(super) fn merge(&mut self, other: &Self) -> Result<(), ReduceError> {
        self.change(usize::MAX, |sums| {
            for (position, added) in other.named.iter().enumerate() {
                sums.change_named(position, |sum| sum.merge(added));
            }
            for (name, added) in &other.extras {
                sums.change_extra(name, |sum| sum.merge(added));
            }
        })
    }

    /// Applies `change`, which adds `growth` bytes at most. Where that might break a bound it is
    /// tried on a copy first.
    fn change(&mut self, growth: usize, change: impl FnOnce(&mut Self)) -> Result<(), ReduceError> {
        if self.bytes.saturating_add(growth) <= MAX_REDUCER_STATE_BYTES.min(SURELY_FEW_KEYS) {
            change(self);
            return Ok(());
        }
        let mut tried = self.clone();
        change(&mut tried);
        tried.check_bounds()?;
        *self = tried;
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), ReduceError> {
        if self.named.len() + self.extras.len() > MAX_REDUCER_KEYS {
            return Err(ReduceError::TooManyKeys);
        }
        if self.bytes > MAX_REDUCER_STATE_BYTES {
            return Err(ReduceError::StateTooLarge);
        }
        Ok(())
    }

    fn change_named(&mut self, position: usize, change: impl FnOnce(&mut ExactSum)) {
        let sum = &mut self.named[position];
        self.bytes -= sum.encoded_bytes();
        change(sum);
        self.bytes += sum.encoded_bytes();
    }

    fn change_extra(&mut self, name: &str, change: impl FnOnce(&mut ExactSum)) {
        if let Some(sum) = self.extras.get_mut(name) {
            self.bytes -= sum.encoded_bytes();
            change(sum);
            self.bytes += sum.encoded_bytes();
        } else {
            let mut sum = ExactSum::default();
            change(&mut sum);
            self.bytes += entry_bytes(name, &sum);
            self.extras.insert(name.to_owned(), sum);
        }
    }
}

/// A state of at most so many bytes cannot hold more than [`MAX_REDUCER_KEYS`].
const SURELY_FEW_KEYS: usize = MAX_REDUCER_KEYS * 20;

fn positions(fields: &[String]) -> BTreeMap<&str, usize> {
    fields
        .iter()
        .enumerate()
        .map(|(position, field)| (field.as_str(), position))
        .collect()
}
