//! Addresses as limits count them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an IPv4 address, and of an IPv6 network, that neighbours have in common.
const NEIGHBOURS_V4: u32 = 24;
const NEIGHBOURS_V6: u32 = 48;

/// Whom a limit is for: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AddressBlock(IpAddr);

/// What may be one customer's with all it has: an IPv4 network of 24 bits, or an IPv6 network of 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Neighbourhood(IpAddr);

impl AddressBlock {
    /// The block of an address; an IPv4 address in IPv6 form counts as what it is.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
        })
    }

    /// The block and those around it.
    pub(crate) fn neighbourhood(self) -> Neighbourhood {
        Neighbourhood(match self.0 {
            IpAddr::V4(address) => {
                let network = address.to_bits() & (u32::MAX << (32 - NEIGHBOURS_V4));
                Ipv4Addr::from_bits(network).into()
            }
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << (128 - NEIGHBOURS_V6));
                Ipv6Addr::from_bits(network).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_an_ipv4_address_or_an_ipv6_network_of_64_bits() {
        let block = |text: &str| AddressBlock::of(text.parse().unwrap());
        assert_eq!(block("192.0.2.1"), block("::ffff:192.0.2.1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
        assert_eq!(block("2001:db8:1:2::1"), block("2001:db8:1:2:ffff::9"));
        assert_ne!(block("2001:db8:1:2::1"), block("2001:db8:1:3::1"));
    }

    #[test]
    fn neighbours_are_an_ipv4_network_of_24_bits_or_an_ipv6_network_of_48() {
        let around = |text: &str| AddressBlock::of(text.parse().unwrap()).neighbourhood();
        assert_eq!(around("192.0.2.1"), around("192.0.2.255"));
        assert_ne!(around("192.0.2.1"), around("192.0.3.1"));
        assert_eq!(around("2001:db8:1:2::1"), around("2001:db8:1:ffff::9"));
        assert_ne!(around("2001:db8:1:2::1"), around("2001:db8:2:2::1"));
    }
}
