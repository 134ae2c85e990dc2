//! The hosts of a merchant.

use std::net::Ipv4Addr;

/// An entry of an allow list that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} cannot be an allowed host: {reason}")]
pub struct InvalidHost {
    /// The entry, cut to 100 characters.
    pub entry: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The hosts that a merchant's links may lead to. `shop.in` is that host alone, `*.shop.in` every host below it, and
/// `127.0.0.1:8080` a host with a port other than the scheme's own. Names are ASCII: a unicode host is listed (and
/// compared) in its `xn--` form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedHosts {
    exact: Vec<String>,
    below: Vec<String>,
}

/// Where whole countries register their shops: `*.co.in` would allow everybody's.
const SHARED_SUFFIXES: [&str; 14] = [
    "co.in",
    "net.in",
    "org.in",
    "firm.in",
    "gen.in",
    "ind.in",
    "com.in",
    "co.uk",
    "com.au",
    "com.sg",
    "co.jp",
    "myshopify.com",
    "github.io",
    "web.app",
];

impl AllowedHosts {
    /// Reads a list; an empty one allows nothing.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, InvalidHost> {
        let mut hosts = Self::default();
        for entry in entries {
            let entry = entry.as_ref();
            let refuse = |reason| InvalidHost { entry: entry.chars().take(100).collect(), reason };
            let name = entry.to_ascii_lowercase();
            if let Some(parent) = name.strip_prefix("*.") {
                check_name(parent).map_err(refuse)?;
                if !parent.contains('.') || SHARED_SUFFIXES.contains(&parent) || parent.parse::<Ipv4Addr>().is_ok() {
                    return Err(refuse("it would allow hosts of others"));
                }
                hosts.below.push(format!(".{parent}"));
            } else {
                let (host, port) =
                    name.split_once(':').map_or((name.as_str(), None), |(host, port)| (host, Some(port)));
                check_name(host).map_err(refuse)?;
                if port.is_some_and(|port| port.starts_with('0') || port.parse::<u16>().is_err()) {
                    return Err(refuse("its port is not a number from 1 to 65535"));
                }
                hosts.exact.push(name);
            }
        }
        Ok(hosts)
    }

    /// Whether an authority (`host` or `host:port`, lower case, the port only when it is not the scheme's own) is
    /// allowed.
    #[must_use]
    pub fn allow(&self, authority: &str) -> bool {
        self.exact.iter().any(|host| host == authority)
            || self.below.iter().any(|parent| authority.len() > parent.len() && authority.ends_with(parent))
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 253 {
        return Err("a host has 1 to 253 characters");
    }
    if !name.is_ascii() {
        return Err("write a unicode host in its xn-- form");
    }
    let label_is_fine = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.split('.').all(label_is_fine) {
        Ok(())
    } else {
        Err("give a bare host such as www.shop.in, without scheme or path")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_by_name_or_by_its_parent() {
        let hosts = AllowedHosts::parse(&["Shop.in", "*.shop.in", "127.0.0.1:8080"]).unwrap();
        for good in ["shop.in", "www.shop.in", "a.b.shop.in", "127.0.0.1:8080"] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in
            ["", "notshop.in", "shop.in.evil.example", ".shop.in", "shop.in:8443", "127.0.0.1", "www.shop.in:81", "in"]
        {
            assert!(!hosts.allow(bad), "{bad}");
        }
        assert!(!AllowedHosts::parse(&["shop.in"]).unwrap().allow("www.shop.in"));
    }

    #[test]
    fn a_list_that_would_allow_others_is_refused() {
        for bad in [
            "",
            "*",
            "*.in",
            "*.co.in",
            "*.",
            "https://shop.in",
            "shop.in/x",
            "shop..in",
            "shöp.in",
            "shop.in:",
            "shop.in:0",
            "shop.in:99999",
            "a@shop.in",
            "-shop.in",
            "*.*.in",
            "*.0.0.1.2.3.4.5.6.7.8.9.-",
        ] {
            assert!(AllowedHosts::parse(&[bad]).is_err(), "{bad}");
        }
    }
}
