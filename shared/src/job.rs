//! What a client may submit, and its validation.
