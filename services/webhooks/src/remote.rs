//! Which address a request came from, as far as it can be believed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// Networks, from a setting: `10.0.0.0/8, 2001:db8::/32, 192.0.2.7`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |entry: &str| {
            let single = entry.parse::<IpAddr>().map(IpNet::from);
            entry
                .parse::<IpNet>()
                .or(single)
                .map_err(|_neither| format!("{entry:?} is neither a network nor an address"))
        };
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// The client: the peer, or, as long as the nearest hop is a trusted proxy, what that proxy says of the hop before it. What an
/// untrusted hop claims is never looked at.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let hops: Vec<_> = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    for hop in hops.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.contain(nearest) {
            break;
        }
        let Some(address) = hop_address(hop.trim()) else { break };
        nearest = address;
    }
    nearest
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let seen = |peer: &str, forwarded: &str, trusted: &str| {
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(forwarded).unwrap());
            address(peer.parse().unwrap(), &headers, &trusted.parse().unwrap()).to_string()
        };
        assert_eq!(seen("203.0.113.9", "198.51.100.1", "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", "198.51.100.1", ""), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", "6.6.6.6, 198.51.100.1", "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", "6.6.6.6, 198.51.100.1, 10.2.3.4", "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", "nonsense", "10.0.0.0/8"), "10.0.0.1");
    }
}
