//! Nonces from a secret seed: unpredictable to workers, repeatable in tests.

use sha2::{Digest, Sha256};
use shared::ids::Nonce;

#[derive(Debug)]
pub(crate) struct Nonces {
    seed: [u8; 32],
    serial: u64,
    upcoming: Nonce,
}

impl Nonces {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            serial: 0,
            upcoming: derive(&seed, 0),
        }
    }

    /// The next nonce, and its number, which orders leaves by age.
    pub(crate) const fn peek(&self) -> (Nonce, u64) {
        (self.upcoming, self.serial)
    }

    /// The nonce that [`Nonces::peek`] shows is used.
    pub(crate) fn advance(&mut self) {
        self.serial += 1;
        self.upcoming = derive(&self.seed, self.serial);
    }
}

/// The first 16 bytes of SHA-256(seed ‖ serial as 8 bytes little-endian).
fn derive(seed: &[u8; 32], serial: u64) -> Nonce {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(seed)
        .chain_update(serial.to_le_bytes())
        .finalize()
        .into();
    let (nonce, _) = hash
        .split_first_chunk::<16>()
        .expect("a SHA-256 is longer than 16 bytes");
    Nonce::from_bytes(*nonce)
}
