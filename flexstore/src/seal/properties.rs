//! Sealing single properties of an object, the others staying readable.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::error::{Malformed, OpenError, SealError};
use super::header::{Binding, Kid};
use super::key::EncryptionSecret;
use super::{Audience, json as strict};

/// The one member of the object that stands in for a sealed property.
pub const SEALED: &str = "$sealed";

/// Replaces the value of each named property by `{"$sealed": "<jwe>"}`. Each is sealed by itself
/// (`cty` `json`) and bound to its name, so that nobody can exchange two of them; the rest of the
/// binding is the item's, and its `prop` is not looked at.
///
/// # Errors
/// [`SealError`]; the object is then unchanged. A property that is missing or sealed already is
/// one.
pub fn seal_properties(
    object: &mut Map<String, Value>,
    names: &[&str],
    binding: &Binding,
    audiences: &[Audience],
) -> Result<(), SealError> {
    let mut sealed = Vec::with_capacity(names.len());
    for &name in names {
        let value = object
            .get(name)
            .ok_or_else(|| SealError::NoProperty(name.to_owned()))?;
        if value.get(SEALED).is_some() || sealed.iter().any(|(done, _)| *done == name) {
            return Err(SealError::AlreadySealed(name.to_owned()));
        }
        let text = Zeroizing::new(serde_json::to_vec(value).map_err(|_| SealError::Failed)?);
        let jwe = super::seal(&text, Some("json"), &bound_to(binding, name), audiences)?;
        sealed.push((name, jwe));
    }
    for (name, jwe) in sealed {
        object.insert(name.to_owned(), json!({ SEALED: jwe }));
    }
    Ok(())
}

/// Puts back the value of each sealed property for which `keys` has a secret, and names those
/// that stay sealed because it has none.
///
/// # Errors
/// [`OpenError`] if one of them is malformed, bound elsewhere or does not open; the object is then
/// unchanged.
pub fn open_properties<'k>(
    object: &mut Map<String, Value>,
    binding: &Binding,
    keys: &dyn Fn(&Kid) -> Option<&'k EncryptionSecret>,
) -> Result<Vec<String>, OpenError> {
    let mut closed = Vec::new();
    let mut opened = Vec::new();
    for (name, value) in object.iter() {
        let Some(inner) = value.get(SEALED) else {
            continue;
        };
        let (Some(jwe), Some(1)) = (inner.as_str(), value.as_object().map(Map::len)) else {
            return Err(Malformed::MemberType.into());
        };
        match super::open(jwe, &bound_to(binding, name), keys) {
            Ok(content) => {
                let text = str::from_utf8(&content.content).map_err(|_| Malformed::Json)?;
                opened.push((name.clone(), strict::parse(text, strict::CONTENT_DEPTH)?));
            }
            Err(OpenError::NotForUs) => closed.push(name.clone()),
            Err(error) => return Err(error),
        }
    }
    for (name, value) in opened {
        object.insert(name, value);
    }
    Ok(closed)
}

fn bound_to(binding: &Binding, name: &str) -> Binding {
    Binding {
        prop: Some(name.to_owned()),
        ..binding.clone()
    }
}
