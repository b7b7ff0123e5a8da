//! The data set: real cities, see `data/ATTRIBUTION.md`.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::Result;

/// How many there are.
pub(crate) const COUNT: i64 = 20_000;

const PACKED: &[u8] = include_bytes!("../data/cities.jsonl.gz");

/// The first so many.
pub(crate) fn load(count: u32) -> Result<Vec<Value>> {
    let mut text = String::new();
    GzDecoder::new(PACKED).read_to_string(&mut text)?;
    let lines = text.lines().take(count as usize);
    Ok(lines
        .map(serde_json::from_str)
        .collect::<Result<_, serde_json::Error>>()?)
}

/// The name of one.
pub(crate) fn name(city: &Value) -> &str {
    city["name"].as_str().unwrap_or("a city")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there_with_their_fields() {
        let cities = load(u32::MAX).unwrap();
        assert_eq!(cities.len() as i64, COUNT);
        for city in &cities {
            for field in ["name", "lat", "lng", "country", "admin1", "admin2"] {
                assert!(city[field].is_string(), "{city}");
            }
        }
    }
}
