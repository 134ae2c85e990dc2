//! Which address a request came from, as far as it can be believed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use actix_web::http::header::{HeaderMap, HeaderName};
use config::List;
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A list of networks, from a setting: `10.0.0.0/8, 2001:db8::/32, 192.0.2.7`.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let List(entries) = text.parse::<List<Entry>>()?;
        Ok(Self(entries.into_iter().map(|Entry(network)| network).collect()))
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&List(self.0.clone()), f)
    }
}

/// One of the list: a network, or an address, which is a network of one.
struct Entry(IpNet);

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let single = text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or(single);
        network.map(Self).map_err(|_neither| format!("{text:?} is neither a network nor an address"))
    }
}

/// The address of the client: the peer, or, while the hop nearest to us is a trusted proxy, what that proxy says of
/// the hop before it. What an untrusted hop claims is never looked at.
#[must_use]
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if trusted.0.is_empty() || !trusted.contain(nearest) {
        return nearest;
    }
    let hops: Vec<_> = headers.get_all(&X_FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
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
    fn a_list_of_networks_is_read_or_refused() {
        let networks: Networks = "10.0.0.0/8,192.0.2.7".parse().unwrap();
        assert!(networks.contain("10.255.0.1".parse().unwrap()) && networks.contain("192.0.2.7".parse().unwrap()));
        assert!(!networks.contain("192.0.2.8".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Networks>().is_err() && "example.in".parse::<Networks>().is_err());
    }
}
