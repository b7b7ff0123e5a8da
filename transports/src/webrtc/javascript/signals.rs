//! Signals in JSON: the relay's own reader checks them, and what they describe is checked here.

use flexstore_core::wire::signal::javascript::{BadSignals, Candidate, Signals};

use crate::webrtc::SignalError;
use crate::webrtc::description::{Description, Role};

pub use flexstore_core::wire::signal::javascript::MAX_SIGNALS_BYTES;

/// The description that the signals are about.
pub(super) fn read(text: &str, role: Role) -> Result<Description, SignalError> {
    let signals = Signals::parse(text.as_bytes()).map_err(|bad| match bad {
        BadSignals::TooLong | BadSignals::SdpTooLong | BadSignals::CandidateTooLong => {
            SignalError::TooLong
        }
        BadSignals::TooManyCandidates => SignalError::TooManyCandidates,
        _ => SignalError::Malformed,
    })?;
    if signals.role != role {
        return Err(SignalError::Malformed);
    }
    let mut description = Description::parse(&signals.sdp, role)?;
    for candidate in &signals.candidates {
        description.add(&candidate.candidate)?;
    }
    Ok(description)
}

/// The signals of a description.
pub(super) fn write(description: &Description, role: Role) -> String {
    let candidates = description.candidates.iter().enumerate();
    let candidates = candidates.map(|(place, candidate)| Candidate {
        candidate: candidate.text(place + 1),
        mid: Some(description.mid.to_string()),
        line: Some(0),
        username_fragment: Some(description.user.to_string()),
    });
    let signals = Signals {
        role,
        sdp: description.sdp(),
        candidates: candidates.collect(),
    };
    signals.text()
}

#[cfg(test)]
mod tests;
