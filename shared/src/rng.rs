//! What `Math.random` is in a shard: xoshiro128** (Blackman and Vigna, 2018), seeded by job and
//! shard, so that every attempt of a shard draws the same numbers.
//!
//! The generator is a promise: stored results can be repeated only as long as it stays what it is.
//! Its twin in the sandbox is checked against the same vectors.

use sha2::{Digest, Sha256};

/// The 128 bits that the generator of one shard starts from: the first 16 bytes of
/// SHA-256(`cluster-rng-v1` ‖ seed ‖ shard), both as 8 bytes little-endian, read as four
/// little-endian words. Single runs are shard 0.
pub fn shard_state(seed: u64, shard: u64) -> [u32; 4] {
    let digest = Sha256::new()
        .chain_update(b"cluster-rng-v1")
        .chain_update(seed.to_le_bytes())
        .chain_update(shard.to_le_bytes())
        .finalize();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.chunks_exact(4)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("chunks of four"));
    }
    words
}

/// The generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRandom {
    state: [u32; 4],
}

impl ShardRandom {
    /// Starts from a state of [`shard_state`].
    pub const fn new(state: [u32; 4]) -> Self {
        Self { state }
    }

    /// The next 32 bits.
    pub const fn next_u32(&mut self) -> u32 {
        let [mut a, mut b, mut c, mut d] = self.state;
        let drawn = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = b << 9;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(11);
        self.state = [a, b, c, d];
        drawn
    }

    /// The next number in 0..1: 53 bits, the upper 27 of one draw and the upper 26 of the next.
    pub fn next_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32() >> 5);
        let low = u64::from(self.next_u32() >> 6);
        ((high << 26) + low) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const VECTORS: &str = include_str!("../testdata/rng.json");

    fn vector(seed: u64, shard: u64) -> Value {
        let state = shard_state(seed, shard);
        let mut random = ShardRandom::new(state);
        let draws: Vec<f64> = (0..8).map(|_| random.next_f64()).collect();
        json!({"seed": seed.to_string(), "shard": shard, "state": state, "draws": draws})
    }

    #[test]
    fn golden_vectors_hold() {
        let made: Vec<Value> = [(0, 0), (1, 0), (0, 1), (u64::MAX, 1 << 40)]
            .map(|(s, i)| vector(s, i))
            .into();
        let kept: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        assert_eq!(
            made,
            kept,
            "made: {}",
            serde_json::to_string(&made).unwrap()
        );
    }

    #[test]
    fn the_generator_is_xoshiro128_starstar() {
        // First outputs of the authors' C code from the state 1, 2, 3, 4.
        let mut random = ShardRandom::new([1, 2, 3, 4]);
        let drawn: Vec<u32> = (0..4).map(|_| random.next_u32()).collect();
        assert_eq!(drawn, [11_520, 0, 5_927_040, 70_819_200]);
    }

    #[test]
    fn draws_lie_in_the_unit_interval_and_spread() {
        let mut random = ShardRandom::new(shard_state(7, 7));
        let draws: Vec<f64> = (0..100_000).map(|_| random.next_f64()).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let mean = draws.iter().sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }
}
