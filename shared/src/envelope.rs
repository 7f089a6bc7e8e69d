//! The signed envelope.
