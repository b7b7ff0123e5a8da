//! Signals in JSON: an array of pairs, an event and what belongs to it.

use serde_json::{Value, json};

use crate::webrtc::SignalError;
use crate::webrtc::description::{Description, Role};

/// The longest text of signals, in bytes.
pub const MAX_SIGNALS_BYTES: usize = 64 << 10;

const fn word(role: Role) -> &'static str {
    match role {
        Role::Offer => "offer",
        Role::Answer => "answer",
    }
}

/// The description that the signals are about.
pub(super) fn read(text: &str, role: Role) -> Result<Description, SignalError> {
    if text.len() > MAX_SIGNALS_BYTES {
        return Err(SignalError::TooLong);
    }
    let pairs: Vec<(String, Value)> =
        serde_json::from_str(text).map_err(|_| SignalError::Malformed)?;
    let ((event, data), rest) = pairs.split_first().ok_or(SignalError::Malformed)?;
    if event != word(role) || data.get("type").and_then(Value::as_str) != Some(event) {
        return Err(SignalError::Malformed);
    }
    let sdp = data.get("sdp").and_then(Value::as_str);
    let mut description = Description::parse(sdp.ok_or(SignalError::Malformed)?, role)?;
    for (event, data) in rest {
        let candidate = match data {
            // How some say that there are no more.
            Value::Null => Some(""),
            data => data.get("candidate").and_then(Value::as_str),
        };
        match candidate {
            Some(candidate) if event == "icecandidate" => description.add(candidate)?,
            _ => return Err(SignalError::Malformed),
        }
    }
    Ok(description)
}

/// The signals of a description.
pub(super) fn write(description: &Description, role: Role) -> String {
    let word = word(role);
    let mut pairs = vec![json!([word, {"type": word, "sdp": description.sdp()}])];
    for (place, candidate) in description.candidates.iter().enumerate() {
        let candidate = json!({
            "candidate": candidate.text(place + 1),
            "sdpMid": description.mid,
            "sdpMLineIndex": 0,
            "usernameFragment": description.user,
        });
        pairs.push(json!(["icecandidate", candidate]));
    }
    Value::Array(pairs).to_string()
}

#[cfg(test)]
mod tests;
