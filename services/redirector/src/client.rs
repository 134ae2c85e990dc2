//! What is counted as one client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is counted as one client: an IPv4 address, or an IPv6 /64, which is what one customer of a provider gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    V4(Ipv4Addr),
    V6(u64),
}

impl Client {
    /// The client of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }

    /// The client's address; of a /64 the first one.
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Self::V4(address) => address.into(),
            Self::V6(prefix) => Ipv6Addr::from_bits(u128::from(prefix) << 64).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_client() {
        let client = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_eq!(client("2001:db8:0:1::1").address().to_string(), "2001:db8:0:1::");
        assert_eq!(client("::ffff:192.0.2.7").address().to_string(), "192.0.2.7");
    }
}
