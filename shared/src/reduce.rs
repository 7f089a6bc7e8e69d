//! Reducers: how the results of shards become one aggregate.

use serde::{Deserialize, Serialize};

use crate::wire::ShardResult;

/// How results are folded, as normalised from the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reducer {
    /// Adds numeric fields.
    Sum {
        /// The fields that are always there.
        fields: Vec<String>,
        /// `"*"` was among the fields: every numeric property is added as well.
        all: bool,
    },
}

/// What has been folded so far; its postcard encoding is its stored form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReducerState {}

/// Why a result cannot be folded; its text follows `reducer_error:`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReduceError {
    /// The field is not a number.
    #[error("sum reducer field '{0}' must be numeric.")]
    NotNumeric(String),
}

impl Reducer {
    /// The state before the first result.
    pub fn initial(&self) -> ReducerState {
        ReducerState {}
    }

    /// Folds one result into `state`; on an error the state is unchanged.
    ///
    /// # Errors
    /// [`ReduceError`] for a result that this reducer cannot take.
    pub fn fold(
        &self,
        _state: &mut ReducerState,
        _result: &ShardResult,
    ) -> Result<(), ReduceError> {
        Ok(())
    }

    /// Folds a whole state into another; the order does not matter.
    ///
    /// # Errors
    /// [`ReduceError`] where both together exceed a bound.
    pub fn merge(
        &self,
        _into: &mut ReducerState,
        _other: &ReducerState,
    ) -> Result<(), ReduceError> {
        Ok(())
    }
}
