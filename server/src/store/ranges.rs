//! Sets of shards as bytes: for each range the gap before it and its length less one, as LEB128.
//!
//! A contiguous set takes a handful of bytes whatever its size; a set with gaps two bytes and more a
//! range.

use std::ops::RangeInclusive;

use range_set_blaze::RangeSetBlaze;

/// Bytes are not an encoded set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotRanges;

pub(super) fn encode(set: &RangeSetBlaze<u64>) -> Vec<u8> {
    let mut encoder = Encoder::with_capacity(set.ranges_len());
    set.ranges().for_each(|range| encoder.add(&range));
    encoder.bytes
}

/// Several encoded sets on their way to become one. Costs a sort of ranges that are mostly in order,
/// and no tree of them.
#[derive(Debug, Default)]
pub(super) struct Union(Vec<(u64, u64)>);

impl Union {
    /// Adds an encoded set.
    ///
    /// # Errors
    /// [`NotRanges`]; what is in it is then of no use.
    pub(super) fn add(&mut self, mut bytes: &[u8]) -> Result<(), NotRanges> {
        let mut next: u64 = 0;
        while !bytes.is_empty() {
            let start = next.checked_add(take(&mut bytes)?).ok_or(NotRanges)?;
            let end = start.checked_add(take(&mut bytes)?).ok_or(NotRanges)?;
            self.0.push((start, end));
            next = end.saturating_add(1);
        }
        Ok(())
    }

    /// All of it, encoded.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(self.0.len());
        self.into_ranges(|range| encoder.add(&range));
        encoder.bytes
    }

    /// All of it.
    pub(super) fn into_set(self) -> RangeSetBlaze<u64> {
        let mut ranges = Vec::with_capacity(self.0.len());
        self.into_ranges(|range| ranges.push(range));
        ranges.into_iter().collect()
    }

    /// Gives the ranges in order, with a gap between each two.
    fn into_ranges(mut self, mut give: impl FnMut(RangeInclusive<u64>)) {
        self.0.sort();
        let mut ranges = self.0.into_iter();
        let Some((mut start, mut end)) = ranges.next() else {
            return;
        };
        for (next_start, next_end) in ranges {
            if next_start <= end.saturating_add(1) {
                end = end.max(next_end);
            } else {
                give(start..=end);
                (start, end) = (next_start, next_end);
            }
        }
        give(start..=end);
    }
}

/// Writes ranges that come in order, with a gap between each two.
struct Encoder {
    bytes: Vec<u8>,
    next: u64,
}

impl Encoder {
    fn with_capacity(ranges: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(2 * ranges),
            next: 0,
        }
    }

    fn add(&mut self, range: &RangeInclusive<u64>) {
        put(&mut self.bytes, range.start() - self.next);
        put(&mut self.bytes, range.end() - range.start());
        self.next = range.end().saturating_add(1);
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Result<u64, NotRanges> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(NotRanges)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return Err(NotRanges);
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(NotRanges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<RangeSetBlaze<u64>, NotRanges> {
        let mut union = Union::default();
        union.add(bytes)?;
        Ok(union.into_set())
    }

    #[test]
    fn a_union_is_that_of_the_sets_and_encoded_as_one() {
        let sets: [RangeSetBlaze<u64>; 5] = [
            [5..=9, 20..=29].into_iter().collect(),
            [0..=0, 10..=12, 25..=40].into_iter().collect(),
            [2..=3].into_iter().collect(),
            RangeSetBlaze::new(),
            [u64::MAX..=u64::MAX].into_iter().collect(),
        ];
        let expected = sets.iter().fold(RangeSetBlaze::new(), |all, set| all | set);
        let union = || {
            let mut union = Union::default();
            for set in sets.iter().rev() {
                union.add(&encode(set)).unwrap();
            }
            union
        };
        assert_eq!(union().into_set(), expected);
        assert_eq!(union().into_bytes(), encode(&expected));
        assert!(Union::default().into_bytes().is_empty());
    }

    #[test]
    fn sets_round_trip() {
        for ranges in [
            vec![],
            vec![0..=0],
            vec![0..=9_999_999],
            vec![3..=3, 5..=5, 1000..=2_000_000_000],
            vec![0..=u64::MAX],
        ] {
            let set: RangeSetBlaze<u64> = ranges.into_iter().collect();
            assert_eq!(decode(&encode(&set)), Ok(set));
        }
    }

    #[test]
    fn size_follows_fragmentation_not_length() {
        let whole: RangeSetBlaze<u64> = std::iter::once(0..=9_999_999).collect();
        assert!(encode(&whole).len() <= 8);
        let holes: RangeSetBlaze<u64> = (0..1000).map(|n| 2 * n..=2 * n).collect();
        assert_eq!(encode(&holes).len(), 2000);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &[0x80][..],
            &[1],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1],
        ] {
            assert_eq!(decode(bytes), Err(NotRanges), "{bytes:?}");
        }
    }
}
