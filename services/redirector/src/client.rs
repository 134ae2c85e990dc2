//! Which address a request came from, as far as it can be believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// A list of networks, from a setting: `10.0.0.0/8, 2001:db8::/32, 192.0.2.7`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl std::str::FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |entry: &str| {
            let single = entry.parse::<IpAddr>().map(IpNet::from);
            entry
                .parse::<IpNet>()
                .or(single)
                .map_err(|_neither| format!("{entry:?} is neither a network nor an address"))
        };
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

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

/// `192.0.2.7` or `2001:db8:0:1::/64`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*prefix) << 64)),
        }
    }
}

/// The address of the client: the peer, or, while the hop nearest to us is a trusted proxy, what that proxy says of
/// the hop before it. What an untrusted hop claims is never looked at.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if trusted.0.is_empty() || !trusted.contain(nearest) {
        return nearest;
    }
    let hops: Vec<_> = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    for hop in hops.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = hop_address(hop.trim()) else { break };
        nearest = address;
        if !trusted.contain(nearest) {
            break;
        }
    }
    nearest
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(value).unwrap());
        }
        address(peer.parse().unwrap(), &headers, &trusted.parse().unwrap()).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ours = "10.0.0.0/8, 2001:db8:ffff::/48";
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], ours), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"], ""), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"], ours), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 198.51.100.1"], ours), "198.51.100.1", "what the client claims");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "198.51.100.1, 10.2.3.4"], ours), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["10.9.9.9, 10.2.3.4"], ours), "10.9.9.9");
        assert_eq!(
            seen("10.0.0.1", &["6.6.6.6, unknown, 10.2.3.4"], ours),
            "10.2.3.4",
            "nothing beyond what is no address"
        );
        assert_eq!(seen("10.0.0.1", &[], ours), "10.0.0.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["[2001:db8::7]:4711"], ours), "2001:db8::7");
        assert_eq!(seen("2001:db8:ffff::1", &["198.51.100.1:4711"], ours), "198.51.100.1");
    }

    #[test]
    fn an_ipv6_customer_is_one_client() {
        let client = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_eq!(client("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
        assert_eq!(client("::ffff:192.0.2.7").to_string(), "192.0.2.7");
    }

    #[test]
    fn a_list_of_networks_is_read_or_refused() {
        let networks: Networks = "10.0.0.0/8,192.0.2.7".parse().unwrap();
        assert!(networks.contain("10.255.0.1".parse().unwrap()) && networks.contain("192.0.2.7".parse().unwrap()));
        assert!(!networks.contain("192.0.2.8".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Networks>().is_err() && "example.in".parse::<Networks>().is_err());
    }
}
