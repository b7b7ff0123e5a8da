//! One address at which a side may be reached.

use std::net::{IpAddr, SocketAddr};

use super::reachable;
use crate::webrtc::SignalError;

/// The longest line that is looked at.
const MAX_BYTES: usize = 512;

/// How the address was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An interface of its own.
    Host,
    /// As a STUN server saw it.
    Reflexive,
    /// On a TURN server.
    Relayed,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Reflexive => "srflx",
            Self::Relayed => "relay",
        }
    }

    /// The preference of its type that RFC 8445 recommends.
    pub(super) const fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::Reflexive => 100,
            Self::Relayed => 0,
        }
    }
}

/// One address at which a side may be reached, over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) kind: Kind,
    pub(crate) priority: u32,
    pub(crate) address: SocketAddr,
}

impl Candidate {
    /// Reads the attribute, with or without its name. `None` if it is of no use: TCP, another
    /// component, or a name for multicast DNS, which a browser writes to hide its address. (The
    /// browser then finds us, and its address is learnt from that.)
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, SignalError> {
        if text.len() > MAX_BYTES || text.contains(['\r', '\n', '\0']) {
            return Err(SignalError::Malformed);
        }
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        if text.is_empty() {
            // How a browser says that there are no more.
            return Ok(None);
        }
        let words: Vec<&str> = text.split(' ').collect();
        let [
            _,
            component,
            transport,
            priority,
            address,
            port,
            "typ",
            kind,
            ..,
        ] = *words
        else {
            return Err(SignalError::Malformed);
        };
        let priority = priority.parse().map_err(|_| SignalError::Malformed)?;
        let port: u16 = port.parse().map_err(|_| SignalError::Malformed)?;
        let kind = match kind {
            "host" => Kind::Host,
            "srflx" | "prflx" => Kind::Reflexive,
            "relay" => Kind::Relayed,
            _ => return Err(SignalError::Malformed),
        };
        let usable = component == "1" && transport.eq_ignore_ascii_case("udp") && port != 0;
        let address: Option<IpAddr> = address.parse().ok().filter(|ip| reachable(*ip));
        Ok(address.filter(|_| usable).map(|ip| Self {
            kind,
            priority,
            address: SocketAddr::new(ip, port),
        }))
    }

    /// The attribute, with its name.
    pub(crate) fn text(&self, foundation: usize) -> String {
        let related = match (self.kind, self.address) {
            (Kind::Host, _) => "",
            // What is behind the address is nobody's business.
            (_, SocketAddr::V4(_)) => " raddr 0.0.0.0 rport 0",
            (_, SocketAddr::V6(_)) => " raddr :: rport 0",
        };
        format!(
            "candidate:{foundation} 1 udp {} {} {} typ {}{related}",
            self.priority,
            self.address.ip(),
            self.address.port(),
            self.kind.word(),
        )
    }
}
