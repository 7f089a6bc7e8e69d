//! Traps: one vector promises what the envelope does not hold. If this finishes, the check is blind.

use shared::envelope::vectors;

fn main() {
    let tampered =
        vectors::ENVELOPE_JSON.replacen(r#""expect": "BadSignature""#, r#""expect": "fresh""#, 1);
    vectors::check(&tampered).expect("this vector does not hold");
}
