//! A description in few bytes, for a sealed signal: some 110 of them with two candidates, so that
//! it fits a QR code.

use std::net::{IpAddr, SocketAddr};

use super::CREDENTIAL_BYTES;
use super::{Candidate, Description, Kind, MAX_CANDIDATES, Role, Setup, reachable, word};
use crate::webrtc::SignalError;

/// The only version there is.
const VERSION: u8 = 1;
/// The name of the one section, which an answer repeats.
const MID: &str = "0";

impl Description {
    /// As bytes.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.push(match self.setup {
            Setup::Either => 0,
            Setup::Active => 1,
            Setup::Passive => 2,
        });
        for text in [&self.user, &self.password] {
            // At most CREDENTIAL_BYTES, of which ours need far fewer.
            bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            bytes.extend(text.bytes().take(usize::from(u8::MAX)));
        }
        bytes.extend(self.fingerprint);
        for candidate in self.candidates.iter().take(MAX_CANDIDATES) {
            let kind = match candidate.kind {
                Kind::Host => 0,
                Kind::Reflexive => 1,
                Kind::Relayed => 2,
            };
            match candidate.address.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(kind);
                    bytes.extend(ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(kind | 0x80);
                    bytes.extend(ip.octets());
                }
            }
            bytes.extend(candidate.address.port().to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Self::pack`] wrote, all of it.
    pub(crate) fn unpack(bytes: &[u8], role: Role) -> Result<Self, SignalError> {
        Unpack(bytes)
            .description(role)
            .ok_or(SignalError::Malformed)
    }
}

struct Unpack<'a>(&'a [u8]);

impl Unpack<'_> {
    fn description(&mut self, role: Role) -> Option<Description> {
        if self.byte()? != VERSION {
            return None;
        }
        let setup = match (self.byte()?, role) {
            (0, Role::Offer) => Setup::Either,
            (1, Role::Answer) => Setup::Active,
            (2, Role::Answer) => Setup::Passive,
            _ => return None,
        };
        let user = self.credential(4)?;
        let password = self.credential(22)?;
        let fingerprint = self.array()?;
        let mut candidates = Vec::new();
        while !self.0.is_empty() {
            if candidates.len() == MAX_CANDIDATES {
                return None;
            }
            candidates.push(self.candidate(candidates.len())?);
        }
        Some(Description {
            mid: MID.into(),
            user,
            password,
            fingerprint,
            setup,
            listed: candidates.len(),
            candidates,
        })
    }

    fn candidate(&mut self, place: usize) -> Option<Candidate> {
        let kind = self.byte()?;
        let ip: IpAddr = if kind & 0x80 == 0 {
            self.array::<4>()?.into()
        } else {
            self.array::<16>()?.into()
        };
        let port = u16::from_be_bytes(self.array()?);
        let kind = match kind & 0x7f {
            0 => Kind::Host,
            1 => Kind::Reflexive,
            2 => Kind::Relayed,
            _ => return None,
        };
        // Those written first are preferred among their kind.
        let local = u32::from(u16::MAX) - u32::try_from(place).ok()?;
        (reachable(ip) && port != 0).then_some(Candidate {
            kind,
            priority: (kind.preference() << 24) | (local << 8) | 255,
            address: SocketAddr::new(ip, port),
        })
    }

    fn credential(&mut self, least: usize) -> Option<Box<str>> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        word(std::str::from_utf8(text).ok()?, least, CREDENTIAL_BYTES).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}
