//! Verifies an envelope many times over, to be timed in a browser.

use shared::envelope::vectors;

fn main() {
    vectors::check_often(vectors::ENVELOPE_JSON).expect("the first golden vector holds");
}
