//! Keys as words (BIP-39).
