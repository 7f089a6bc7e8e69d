//! Sets of shards as bytes: for each range the gap before it and its length less one, as LEB128.
//!
//! A contiguous set takes a handful of bytes whatever its size; a set with gaps two bytes and more a
//! range.

use range_set_blaze::RangeSetBlaze;

/// Bytes are not an encoded set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotRanges;

pub(super) fn encode(set: &RangeSetBlaze<u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * set.ranges_len());
    let mut next = 0;
    for range in set.ranges() {
        put(&mut bytes, range.start() - next);
        put(&mut bytes, range.end() - range.start());
        next = range.end().saturating_add(1);
    }
    bytes
}

pub(super) fn decode(mut bytes: &[u8]) -> Result<RangeSetBlaze<u64>, NotRanges> {
    let mut ranges = Vec::new();
    let mut next: u64 = 0;
    while !bytes.is_empty() {
        let start = next.checked_add(take(&mut bytes)?).ok_or(NotRanges)?;
        let end = start.checked_add(take(&mut bytes)?).ok_or(NotRanges)?;
        ranges.push(start..=end);
        next = end.saturating_add(1);
    }
    Ok(ranges.into_iter().collect())
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
