//! The signals of the JavaScript original: a JSON array of pairs, `["offer", {type, sdp}]` or
//! `["answer", {type, sdp}]` first, then any number of `["icecandidate", {candidate, …}]`.

use serde_json::{Map, Value, json};

use crate::json::{JsonError, parse_to_depth};

/// The longest JSON text of signals, in bytes.
pub const MAX_SIGNALS_BYTES: usize = 64 << 10;
/// The longest session description, in bytes.
pub const MAX_SDP_BYTES: usize = 16 << 10;
/// The most candidates, those in the description and those after it together.
pub const MAX_CANDIDATES: usize = 64;
/// The longest candidate, in bytes.
pub const MAX_CANDIDATE_BYTES: usize = 1 << 10;

/// The array, a pair, its object.
const DEPTH: usize = 3;

/// What one side tells the other, to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signals {
    /// Whether the description is an offer or the answer to one.
    pub role: Role,
    /// The session description (RFC 8866).
    pub sdp: String,
    /// Where the sender may be reached, besides what the description says.
    pub candidates: Vec<Candidate>,
}

/// What a session description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Of the side that begins.
    Offer,
    /// Of the other.
    Answer,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        }
    }
}

/// A candidate of ICE, with the names that browsers have for its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// As in an `a=candidate` line (RFC 8839).
    pub candidate: String,
    /// `sdpMid`.
    pub mid: Option<String>,
    /// `sdpMLineIndex`.
    pub line: Option<u16>,
    /// `usernameFragment`.
    pub username_fragment: Option<String>,
}

/// Why a text is not [`Signals`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSignals {
    /// Longer than [`MAX_SIGNALS_BYTES`].
    #[error("signals have at most {MAX_SIGNALS_BYTES} bytes")]
    TooLong,
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not an array of pairs, a description first and candidates after it.
    #[error("not a description and candidates")]
    Shape,
    /// The description is longer than [`MAX_SDP_BYTES`].
    #[error("a description has at most {MAX_SDP_BYTES} bytes")]
    SdpTooLong,
    /// More than [`MAX_CANDIDATES`].
    #[error("more than {MAX_CANDIDATES} candidates")]
    TooManyCandidates,
    /// A candidate is longer than [`MAX_CANDIDATE_BYTES`].
    #[error("a candidate has at most {MAX_CANDIDATE_BYTES} bytes")]
    CandidateTooLong,
}

impl Signals {
    /// Reads a JSON text. What it does not know in an object is left out.
    ///
    /// # Errors
    /// [`BadSignals`].
    pub fn parse(text: &[u8]) -> Result<Self, BadSignals> {
        if text.len() > MAX_SIGNALS_BYTES {
            return Err(BadSignals::TooLong);
        }
        let Value::Array(pairs) = parse_to_depth(text, DEPTH)? else {
            return Err(BadSignals::Shape);
        };
        let mut pairs = pairs.into_iter().map(pair);
        let (event, data) = pairs.next().ok_or(BadSignals::Shape)??;
        let (role, sdp) = description(&event, data)?;
        let mut left = MAX_CANDIDATES
            .checked_sub(sdp.matches("a=candidate:").count())
            .ok_or(BadSignals::TooManyCandidates)?;
        let mut candidates = Vec::new();
        for pair in pairs {
            let (event, data) = pair?;
            left = left.checked_sub(1).ok_or(BadSignals::TooManyCandidates)?;
            match data {
                Value::Object(members) if event == "icecandidate" => {
                    candidates.push(candidate(members)?);
                }
                // How some say that there are no more.
                Value::Null if event == "icecandidate" => {}
                _ => return Err(BadSignals::Shape),
            }
        }
        Ok(Self {
            role,
            sdp,
            candidates,
        })
    }

    /// As JSON.
    #[must_use]
    pub fn text(&self) -> String {
        let role = self.role.word();
        let mut pairs = vec![json!([role, { "type": role, "sdp": self.sdp }])];
        pairs.extend(self.candidates.iter().map(|candidate| {
            json!(["icecandidate", {
                "candidate": candidate.candidate,
                "sdpMid": candidate.mid,
                "sdpMLineIndex": candidate.line,
                "usernameFragment": candidate.username_fragment,
            }])
        }));
        Value::Array(pairs).to_string()
    }
}

fn pair(value: Value) -> Result<(String, Value), BadSignals> {
    let Value::Array(parts) = value else {
        return Err(BadSignals::Shape);
    };
    match <[Value; 2]>::try_from(parts) {
        Ok([Value::String(event), data]) => Ok((event, data)),
        _ => Err(BadSignals::Shape),
    }
}

fn description(event: &str, mut data: Value) -> Result<(Role, String), BadSignals> {
    let role = [Role::Offer, Role::Answer]
        .into_iter()
        .find(|role| role.word() == event)
        .ok_or(BadSignals::Shape)?;
    if data.get("type").and_then(Value::as_str) != Some(event) {
        return Err(BadSignals::Shape);
    }
    match data.get_mut("sdp").map(Value::take) {
        Some(Value::String(sdp)) if sdp.len() <= MAX_SDP_BYTES => Ok((role, sdp)),
        Some(Value::String(_)) => Err(BadSignals::SdpTooLong),
        _ => Err(BadSignals::Shape),
    }
}

fn candidate(mut members: Map<String, Value>) -> Result<Candidate, BadSignals> {
    let line = match members.get("sdpMLineIndex") {
        None | Some(Value::Null) => None,
        Some(line) => {
            let line = line.as_u64().and_then(|line| line.try_into().ok());
            Some(line.ok_or(BadSignals::Shape)?)
        }
    };
    let mut text = |name| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_CANDIDATE_BYTES => Ok(Some(text)),
        Some(Value::String(_)) => Err(BadSignals::CandidateTooLong),
        Some(_) => Err(BadSignals::Shape),
    };
    Ok(Candidate {
        candidate: text("candidate")?.ok_or(BadSignals::Shape)?,
        mid: text("sdpMid")?,
        line,
        username_fragment: text("usernameFragment")?,
    })
}
