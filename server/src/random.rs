//! Random bytes of the operating system, read in one place.

/// Fills `bytes` with unpredictable ones.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has random bytes");
}

/// `N` unpredictable bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// An index of something with `length` (at least 1) places, as [`below`].
pub(crate) fn index(length: usize) -> usize {
    usize::try_from(below(length as u64)).expect("it is below a usize")
}

/// A number below `bound` (at least 1), unpredictable but for a bias of `bound` / 2^64.
pub(crate) fn below(bound: u64) -> u64 {
    u64::from_le_bytes(bytes()) % bound.max(1)
}
