//! Whom a request is from, where a proxy stands before the relay.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::HeaderMap;
use serde::Deserialize;

/// What a proxy adds the address to that it was asked from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The addresses of a network, `10.0.0.0/8`, or one of them, `10.1.2.3`.
///
/// ```
/// use flexstore_relay::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(!network.contains("11.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text is no [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address, nor an address, a slash and the length of a prefix")]
pub struct BadNetwork;

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).ok();
        let prefix = prefix.filter(|prefix| *prefix <= longest);
        Ok(Self {
            address,
            prefix: prefix.ok_or(BadNetwork)?,
        })
    }
}

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

impl Network {
    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

/// The address of the client: of who connected, unless that is a trusted proxy; then what the last
/// one that is none was, as the proxies have it.
pub(crate) fn client(trusted: &[Network], connected: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = connected.to_canonical();
    let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let hops = values.iter().rev().flat_map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.rsplit(',').map(|hop| hop.trim().parse::<IpAddr>())
    });
    for hop in hops {
        if !is_trusted(client) {
            break;
        }
        // What a trusted proxy did not write is nobody's word: the last that is known stands.
        let Ok(hop) = hop else { break };
        client = hop.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trusted: &[&str], connected: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        client(&trusted, connected.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let spoofed = ["6.6.6.6, 1.2.3.4"];
        assert_eq!(seen(&[], "10.0.0.1", &spoofed), "10.0.0.1");
        assert_eq!(seen(&["10.0.0.2"], "10.0.0.1", &spoofed), "10.0.0.1");
        // What the client wrote itself stands before what the proxy added.
        assert_eq!(seen(&["10.0.0.1"], "10.0.0.1", &spoofed), "1.2.3.4");
        assert_eq!(seen(&["10.0.0.1"], "::ffff:10.0.0.1", &spoofed), "1.2.3.4");
        assert_eq!(seen(&["10.0.0.1"], "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn through_several_proxies() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        let one_header = ["6.6.6.6, 1.2.3.4, 10.9.9.9, fd00::7"];
        assert_eq!(seen(&trusted, "10.0.0.1", &one_header), "1.2.3.4");
        let several = ["6.6.6.6", "1.2.3.4", "10.9.9.9,fd00::7"];
        assert_eq!(seen(&trusted, "10.0.0.1", &several), "1.2.3.4");
        assert_eq!(seen(&trusted, "10.0.0.1", &["10.9.9.9"]), "10.9.9.9");
        assert_eq!(seen(&trusted, "10.0.0.1", &["1.2.3.4, x"]), "10.0.0.1");
    }

    #[test]
    fn texts_that_are_no_network() {
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "host",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
    }
}
