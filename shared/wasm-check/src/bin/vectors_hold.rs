//! Finishes if every golden vector comes out as it says, and traps otherwise.

use shared::envelope::vectors;

fn main() {
    vectors::check(vectors::ENVELOPE_JSON).expect("every golden vector holds");
}
