//! What one side tells the other before they connect: addresses, credentials of ICE, and the
//! fingerprint of its certificate.
//!
//! It is parsed out of an SDP and written as one again, so that the `webrtc` crate only ever sees
//! text that was made here, whatever a peer sent.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::SignalError;

mod candidate;
mod packed;

pub(crate) use candidate::{Candidate, Kind};
pub(crate) use flexstore_core::wire::signal::javascript::Role;
pub use flexstore_core::wire::signal::javascript::{MAX_CANDIDATES, MAX_SDP_BYTES};

/// What RFC 8445 allows of a user fragment and of a password.
const CREDENTIAL_BYTES: usize = 256;
/// The longest name of the one section that there is.
const MID_BYTES: usize = 16;

/// Who is the client of DTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Whichever the answerer likes: what an offer says.
    Either,
    /// This side.
    Active,
    /// The other side.
    Passive,
}

/// One side of a connection in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) mid: Box<str>,
    pub(crate) user: Box<str>,
    pub(crate) password: Box<str>,
    /// SHA-256 of the certificate that the side will show.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) setup: Setup,
    pub(crate) candidates: Vec<Candidate>,
    /// How many were listed, usable or not.
    listed: usize,
}

impl Description {
    /// Reads an SDP: one section, a data channel, a SHA-256 fingerprint. Candidates that we cannot
    /// use are counted and left out.
    pub(crate) fn parse(sdp: &str, role: Role) -> Result<Self, SignalError> {
        if sdp.len() > MAX_SDP_BYTES {
            return Err(SignalError::TooLong);
        }
        let mut read = Read::default();
        for line in sdp.lines() {
            read.line(line)?;
        }
        read.done(role)
    }

    /// Another candidate, as a signal of its own has it.
    pub(crate) fn add(&mut self, candidate: &str) -> Result<(), SignalError> {
        if self.listed >= MAX_CANDIDATES {
            return Err(SignalError::TooManyCandidates);
        }
        self.listed += 1;
        self.candidates.extend(Candidate::parse(candidate)?);
        Ok(())
    }

    /// The SDP without candidates.
    pub(crate) fn sdp(&self) -> String {
        let mut print = String::with_capacity(95);
        for (n, byte) in self.fingerprint.iter().enumerate() {
            let colon = if n == 0 { "" } else { ":" };
            let _ = write!(print, "{colon}{byte:02X}");
        }
        let setup = match self.setup {
            Setup::Either => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
        };
        let (mid, user, password) = (&self.mid, &self.user, &self.password);
        format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
             c=IN IP4 0.0.0.0\r\na=ice-ufrag:{user}\r\na=ice-pwd:{password}\r\n\
             a=fingerprint:sha-256 {print}\r\na=setup:{setup}\r\na=mid:{mid}\r\na=sendrecv\r\n\
             a=sctp-port:5000\r\na=max-message-size:{}\r\n",
            super::MAX_MESSAGE_BYTES
        )
    }
}

/// What was read of an SDP so far.
#[derive(Default)]
struct Read {
    sections: usize,
    mid: Option<Box<str>>,
    user: Option<Box<str>>,
    password: Option<Box<str>>,
    fingerprint: Option<[u8; 32]>,
    setup: Option<Setup>,
    candidates: Vec<Candidate>,
    listed: usize,
}

impl Read {
    fn line(&mut self, line: &str) -> Result<(), SignalError> {
        let malformed = Err(SignalError::Malformed);
        if let Some(media) = line.strip_prefix("m=") {
            self.sections += 1;
            let words: Vec<&str> = media.split(' ').collect();
            let ["application", port, "UDP/DTLS/SCTP", "webrtc-datachannel"] = *words else {
                return malformed;
            };
            return port.parse::<u16>().map_or(malformed, |_| Ok(()));
        }
        let Some(attribute) = line.strip_prefix("a=") else {
            return Ok(());
        };
        let Some((name, value)) = attribute.split_once(':') else {
            return Ok(());
        };
        match name {
            "mid" => set(&mut self.mid, word(value, 1, MID_BYTES)?),
            "ice-ufrag" => set(&mut self.user, word(value, 4, CREDENTIAL_BYTES)?),
            "ice-pwd" => set(&mut self.password, word(value, 22, CREDENTIAL_BYTES)?),
            "fingerprint" => set(&mut self.fingerprint, fingerprint(value)?),
            "setup" => set(&mut self.setup, setup(value)?),
            "sctp-port" if value != "5000" => malformed,
            "candidate" => {
                if self.listed == MAX_CANDIDATES {
                    return Err(SignalError::TooManyCandidates);
                }
                self.listed += 1;
                self.candidates.extend(Candidate::parse(value)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn done(self, role: Role) -> Result<Description, SignalError> {
        let (Some(mid), Some(user), Some(password), Some(fingerprint), Some(setup), 1) = (
            self.mid,
            self.user,
            self.password,
            self.fingerprint,
            self.setup,
            self.sections,
        ) else {
            return Err(SignalError::Malformed);
        };
        // An answer decides; an offer from the original always leaves it open.
        if (role == Role::Answer) == (setup == Setup::Either) {
            return Err(SignalError::Malformed);
        }
        Ok(Description {
            mid,
            user,
            password,
            fingerprint,
            setup,
            candidates: self.candidates,
            listed: self.listed,
        })
    }
}

/// Once, or several times the same: the session and its section may both say it.
fn set<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), SignalError> {
    match slot {
        Some(before) if *before != value => Err(SignalError::Malformed),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// Characters that mean nothing else in an SDP: those of ICE, and what names of sections use.
fn word(value: &str, least: usize, most: usize) -> Result<Box<str>, SignalError> {
    let known =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    if (least..=most).contains(&value.len()) && value.bytes().all(known) {
        Ok(value.into())
    } else {
        Err(SignalError::Malformed)
    }
}

fn fingerprint(value: &str) -> Result<[u8; 32], SignalError> {
    let (algorithm, print) = value.split_once(' ').ok_or(SignalError::Malformed)?;
    if !algorithm.eq_ignore_ascii_case("sha-256") {
        return Err(SignalError::Malformed);
    }
    let mut bytes = [0; 32];
    let mut pairs = print.split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2);
        let pair = pair.filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        *byte = pair
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .ok_or(SignalError::Malformed)?;
    }
    match pairs.next() {
        None => Ok(bytes),
        Some(_) => Err(SignalError::Malformed),
    }
}

fn setup(value: &str) -> Result<Setup, SignalError> {
    match value {
        "actpass" => Ok(Setup::Either),
        "active" => Ok(Setup::Active),
        "passive" => Ok(Setup::Passive),
        _ => Err(SignalError::Malformed),
    }
}

/// Whether anybody else can reach the address.
fn reachable(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests;
