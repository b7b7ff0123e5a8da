//! The signals between two who meet.
//!
//! A signal is one byte for what it is, and a box under the key for that. In the box of a hello is
//! the sender's number; in that of an offer or an answer both numbers, the offerer's first, and a
//! description. A signal that does not open was altered, or made with another key or name, and
//! ends the attempt; one that opens and has other numbers was left by an attempt before.

use bytes::Bytes;
use flexstore_core::link::{Link, LinkError};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;

use super::key::Seal;
use super::{Key, RendezvousError};
use crate::webrtc::native::{self, Offering};
use crate::webrtc::{ConnectError, Description, Role, Settings};

/// The longest signal, in bytes.
pub const MAX_SIGNAL_BYTES: usize = 16 << 10;
/// The most hellos that are heard in one attempt. The place may hold some of attempts before.
pub const MAX_HELLOS: usize = 16;

/// A fresh number.
const NUMBER_BYTES: usize = 32;
type Number = [u8; NUMBER_BYTES];

/// Both numbers, that of who offers first.
type Numbers = [u8; 2 * NUMBER_BYTES];

const HELLO: u8 = 1;
const OFFER: u8 = 2;
const ANSWER: u8 = 3;

pub(super) async fn connect(
    signals: Link,
    name: &str,
    key: &Key,
    settings: &Settings,
) -> Result<Link, RendezvousError> {
    let mut meeting = Meeting::new(signals, name, key)?;
    meeting.hello().await?;
    let mut part = None;
    loop {
        let signal = if part.is_none() {
            meeting.receive().await?
        } else {
            // Who said hello a moment ago has no reason to be slow.
            let received = timeout(settings.connecting, meeting.receive()).await;
            received.map_err(|_| ConnectError::Unreachable)??
        };
        match signal {
            Signal::Hello(theirs) => {
                if meeting.met(theirs)? {
                    // It may not have ours: an earlier attempt of the other side took it.
                    meeting.hello().await?;
                    part = Some(meeting.begin(theirs, settings).await?);
                }
            }
            Signal::Offer(numbers, offer) => match part {
                Some(Part::Answers(ref ours)) if *ours == numbers => {
                    let offer = unpack(&offer, Role::Offer)?;
                    let (connection, answer) = native::answer(&offer, settings).await?;
                    let content = [&numbers, &*answer.pack()].concat();
                    meeting.send(ANSWER, &content).await?;
                    return Ok(native::accepted(connection, &offer, settings).await?);
                }
                ref part => stale(part.as_ref(), &numbers)?,
            },
            Signal::Answer(numbers, answer) => match part {
                Some(Part::Offers(ours, offering)) if ours == numbers => {
                    let answer = unpack(&answer, Role::Answer)?;
                    return Ok(native::dialled(offering, &answer, settings).await?);
                }
                ref part => stale(part.as_ref(), &numbers)?,
            },
        }
    }
}

/// A signal that is not for this side: left by an attempt before, or its own, handed back.
fn stale(part: Option<&Part>, numbers: &Numbers) -> Result<(), RendezvousError> {
    match part {
        Some(Part::Offers(ours, _) | Part::Answers(ours)) if ours == numbers => {
            Err(RendezvousError::Sealed)
        }
        _ => Ok(()),
    }
}

fn unpack(bytes: &[u8], role: Role) -> Result<Description, RendezvousError> {
    let description = Description::unpack(bytes, role);
    Ok(description.map_err(ConnectError::Signal)?)
}

/// What this side does, and both numbers.
enum Part {
    Offers(Numbers, Offering),
    Answers(Numbers),
}

/// A signal, opened.
enum Signal {
    Hello(Number),
    Offer(Numbers, Vec<u8>),
    Answer(Numbers, Vec<u8>),
}

/// One who waits at the place.
struct Meeting<'a> {
    signals: Link,
    name: &'a str,
    key: &'a Key,
    ours: Number,
    theirs: Option<Number>,
    hellos: usize,
}

impl<'a> Meeting<'a> {
    fn new(signals: Link, name: &'a str, key: &'a Key) -> Result<Self, RendezvousError> {
        let mut ours = [0; NUMBER_BYTES];
        getrandom::fill(&mut ours).map_err(|_| RendezvousError::Random)?;
        Ok(Self {
            signals,
            name,
            key,
            ours,
            theirs: None,
            hellos: 0,
        })
    }

    async fn hello(&mut self) -> Result<(), RendezvousError> {
        let ours = self.ours;
        self.send(HELLO, &ours).await
    }

    /// Whether the other side's number is a new one.
    fn met(&mut self, theirs: Number) -> Result<bool, RendezvousError> {
        self.hellos += 1;
        if self.hellos > MAX_HELLOS {
            return Err(RendezvousError::TooMuch);
        }
        if theirs == self.ours {
            // Our own, handed back.
            return Err(RendezvousError::Sealed);
        }
        Ok(self.theirs.replace(theirs) != Some(theirs))
    }

    /// The greater number offers.
    async fn begin(
        &mut self,
        theirs: Number,
        settings: &Settings,
    ) -> Result<Part, RendezvousError> {
        let offers = self.ours > theirs;
        let (first, second) = if offers {
            (self.ours, theirs)
        } else {
            (theirs, self.ours)
        };
        let mut numbers = [0; 2 * NUMBER_BYTES];
        numbers[..NUMBER_BYTES].copy_from_slice(&first);
        numbers[NUMBER_BYTES..].copy_from_slice(&second);
        if !offers {
            return Ok(Part::Answers(numbers));
        }
        let (offering, offer) = native::offer(settings).await?;
        let content = [&numbers, &*offer.pack()].concat();
        self.send(OFFER, &content).await?;
        Ok(Part::Offers(numbers, offering))
    }

    async fn send(&mut self, what: u8, content: &[u8]) -> Result<(), RendezvousError> {
        let mut signal = vec![what];
        signal.extend(seal(self.key, self.name, what)?.seal(content)?);
        Ok(self.signals.outgoing.send(Bytes::from(signal)).await?)
    }

    async fn receive(&mut self) -> Result<Signal, RendezvousError> {
        let signal = match self.signals.incoming.next().await {
            Some(signal) => signal?,
            None => return Err(LinkError::Gone.into()),
        };
        Signal::open(&signal, self.key, self.name)
    }
}

impl Signal {
    /// Opens what somebody sealed under this key for this place.
    fn open(signal: &[u8], key: &Key, name: &str) -> Result<Self, RendezvousError> {
        if signal.len() > MAX_SIGNAL_BYTES {
            return Err(RendezvousError::TooMuch);
        }
        let (what, sealed) = signal.split_first().ok_or(RendezvousError::Sealed)?;
        let content = seal(key, name, *what)?.open(sealed)?;
        if *what == HELLO {
            let number = content.try_into().map_err(|_| RendezvousError::Sealed)?;
            return Ok(Self::Hello(number));
        }
        let (numbers, description) = content.split_first_chunk().ok_or(RendezvousError::Sealed)?;
        let make = if *what == OFFER {
            Self::Offer
        } else {
            Self::Answer
        };
        Ok(make(*numbers, description.to_vec()))
    }
}

/// The key for one kind of signal at one place.
fn seal(key: &Key, name: &str, what: u8) -> Result<Seal, RendezvousError> {
    let purpose = match what {
        HELLO => "hello",
        OFFER => "offer",
        ANSWER => "answer",
        _ => return Err(RendezvousError::Sealed),
    };
    Ok(key.derive(purpose, &[name.as_bytes()]))
}

#[cfg(test)]
mod tests;
