//! The worker side as a state machine.
