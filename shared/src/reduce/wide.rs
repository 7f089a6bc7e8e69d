//! A fixed-point number wide enough to add f64s without ever rounding.
//!
//! Two's complement of 34 × 64 = 2,176 bits in units of 2^-1074, the smallest subnormal. The
//! largest f64 is below 2^2098 units, so there is room for 2^77 additions of it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const LIMBS: usize = 34;
const BYTES: usize = LIMBS * 8;

/// Bytes that one number takes encoded at most: where it starts, its length, its bytes.
pub(super) const MAX_ENCODED_BYTES: usize = 2 + 2 + BYTES;

/// Bits below the binary point.
pub(super) const FRACTION_BITS: usize = 1074;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Wide([u64; LIMBS]);

/// Sign and magnitude of a [`Wide`].
pub(super) struct Magnitude {
    pub(super) is_negative: bool,
    limbs: [u64; LIMBS],
}

/// An f64 that stands for an exact number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nearest {
    /// Round to nearest, ties to even; infinite beyond the range of f64.
    pub(super) value: f64,
    /// Nothing was rounded away.
    pub(super) is_exact: bool,
}

impl Wide {
    pub(super) const ZERO: Self = Self([0; LIMBS]);

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|&limb| limb == 0)
    }

    /// Adds a finite f64 exactly.
    pub(super) fn add_f64(&mut self, value: f64) {
        let bits = value.abs().to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = match bits >> 52 {
            0 => (fraction, 0),
            exponent => (fraction | (1 << 52), exponent as usize - 1),
        };
        let shifted = u128::from(mantissa) << (shift % 64);
        let (low, high) = (shifted as u64, (shifted >> 64) as u64);
        if value < 0.0 {
            self.subtract_at(shift / 64, low, high);
        } else {
            self.add_at(shift / 64, low, high);
        }
    }

    /// Adds an integer exactly.
    pub(super) fn add_integer(&mut self, value: i128) {
        let magnitude = value.unsigned_abs();
        let halves = [magnitude as u64, (magnitude >> 64) as u64];
        for (position, half) in halves.into_iter().enumerate() {
            let bit = FRACTION_BITS + 64 * position;
            let shifted = u128::from(half) << (bit % 64);
            let (low, high) = (shifted as u64, (shifted >> 64) as u64);
            if value < 0 {
                self.subtract_at(bit / 64, low, high);
            } else {
                self.add_at(bit / 64, low, high);
            }
        }
    }

    /// Adds another one exactly; wraps beyond the 2^77 additions for which there is room.
    pub(super) fn add_wide(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, &added) in self.0.iter_mut().zip(&other.0) {
            let (sum, overflow) = limb.overflowing_add(added);
            let (sum, overflow_of_carry) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = overflow || overflow_of_carry;
        }
    }

    fn add_at(&mut self, position: usize, low: u64, high: u64) {
        let limbs = &mut self.0[position..];
        let (sum, carry) = limbs[0].overflowing_add(low);
        limbs[0] = sum;
        let high = u128::from(high) + u128::from(carry);
        let (sum, mut carry) = limbs[1].overflowing_add(high as u64);
        limbs[1] = sum;
        for limb in &mut limbs[2..] {
            if !carry {
                return;
            }
            (*limb, carry) = limb.overflowing_add(1);
        }
    }

    fn subtract_at(&mut self, position: usize, low: u64, high: u64) {
        let limbs = &mut self.0[position..];
        let (difference, borrow) = limbs[0].overflowing_sub(low);
        limbs[0] = difference;
        let high = u128::from(high) + u128::from(borrow);
        let (difference, mut borrow) = limbs[1].overflowing_sub(high as u64);
        limbs[1] = difference;
        for limb in &mut limbs[2..] {
            if !borrow {
                return;
            }
            (*limb, borrow) = limb.overflowing_sub(1);
        }
    }

    fn is_negative(&self) -> bool {
        (self.0[LIMBS - 1] as i64) < 0
    }

    pub(super) fn magnitude(&self) -> Magnitude {
        let is_negative = self.is_negative();
        let mut limbs = self.0;
        if is_negative {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        Magnitude { is_negative, limbs }
    }

    /// Bytes that the number takes encoded, at most; a bound that is cheap to compute.
    pub(super) fn encoded_bytes(&self) -> usize {
        let sign = if self.is_negative() { u64::MAX } else { 0 };
        let below = self.0.iter().take_while(|&&limb| limb == 0).count();
        let above = self
            .0
            .iter()
            .rev()
            .take_while(|&&limb| limb == sign)
            .count();
        // One more byte where the sign would not show in the highest kept one.
        let span = 8 * LIMBS.saturating_sub(below + above) + 1;
        MAX_ENCODED_BYTES - BYTES + span.min(BYTES)
    }
}

impl Magnitude {
    /// The f64 nearest to it (IEEE 754 roundTiesToEven).
    pub(super) fn nearest(&self) -> Nearest {
        let (value, is_exact) = match self.highest_bit() {
            None => (0.0, true),
            // The mantissa of a subnormal, or of the first normal binade, in units of 2^-1074.
            Some(highest) if highest <= 52 => (f64::from_bits(self.limbs[0]), true),
            Some(highest) => self.rounded(highest - 52),
        };
        Nearest {
            value: if self.is_negative { -value } else { value },
            is_exact,
        }
    }

    /// Drops `dropped` low bits, 53 remain; the exponent field follows from `dropped`.
    fn rounded(&self, dropped: usize) -> (f64, bool) {
        let mantissa = self.bits_at(dropped) & ((1 << 53) - 1);
        let half = self.bits_at(dropped - 1) & 1 == 1;
        let below_half = self.any_bit_below(dropped - 1);
        let round_up = half && (below_half || mantissa & 1 == 1);
        // Where rounding carries out of the mantissa, it carries into the exponent, as it must.
        let bits = ((dropped as u64) << 52) + mantissa + u64::from(round_up);
        let value = f64::from_bits(bits.min(f64::INFINITY.to_bits()));
        (value, !half && !below_half && value.is_finite())
    }

    fn highest_bit(&self) -> Option<usize> {
        let limb = self.limbs.iter().rposition(|&limb| limb != 0)?;
        Some(64 * limb + 63 - self.limbs[limb].leading_zeros() as usize)
    }

    /// 64 bits from `bit` upwards.
    fn bits_at(&self, bit: usize) -> u64 {
        let (limb, shift) = (bit / 64, bit % 64);
        let above = self.limbs.get(limb + 1).copied().unwrap_or(0);
        let both = u128::from(self.limbs[limb]) | (u128::from(above) << 64);
        (both >> shift) as u64
    }

    fn any_bit_below(&self, bit: usize) -> bool {
        let (limb, shift) = (bit / 64, bit % 64);
        self.limbs[..limb].iter().any(|&limb| limb != 0)
            || self.limbs[limb] & ((1 << shift) - 1) != 0
    }

    /// Little-endian bytes in units of 2^-1074.
    pub(super) fn to_le_bytes(&self) -> Vec<u8> {
        self.limbs
            .iter()
            .flat_map(|limb| limb.to_le_bytes())
            .collect()
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wide(~{:?})", self.magnitude().nearest().value)
    }
}

/// The stored form: the bytes between the zeros below and the copies of the sign above.
#[derive(Serialize, Deserialize)]
struct Span {
    first: u16,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        while let [.., next, last] = bytes[..]
            && last == sign_byte(next)
        {
            bytes.pop();
        }
        let first = bytes.iter().take_while(|&&byte| byte == 0).count();
        let first = first.min(bytes.len() - 1);
        Span {
            first: u16::try_from(first).expect("fewer than 272 bytes"),
            bytes: bytes.split_off(first),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Span { first, bytes } = Span::deserialize(deserializer)?;
        let first = usize::from(first);
        let sign = sign_byte(bytes.last().copied().unwrap_or(0));
        let mut all = [sign; BYTES];
        all.get_mut(first..first + bytes.len())
            .ok_or_else(|| serde::de::Error::custom("a sum wider than any sum of f64s"))?
            .copy_from_slice(&bytes);
        all[..first].fill(0);
        let mut limbs = [0; LIMBS];
        for (limb, bytes) in limbs.iter_mut().zip(all.chunks_exact(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        }
        Ok(Self(limbs))
    }
}

/// What all bytes above `byte` are, if it is the highest that is kept.
const fn sign_byte(byte: u8) -> u8 {
    if byte >= 0x80 { 0xff } else { 0 }
}
