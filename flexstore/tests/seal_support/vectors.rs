//! Published vectors: our verdicts on them, and the frozen choices.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Our verdicts on one file: what happened, by case.
pub struct Verdicts {
    file: &'static str,
    /// Verdict, then the cases with it.
    pub choices: BTreeMap<String, Vec<Value>>,
    pub cases: usize,
}

impl Verdicts {
    pub fn new(file: &'static str) -> Self {
        Self {
            file,
            choices: BTreeMap::new(),
            cases: 0,
        }
    }

    /// Notes our verdict unless it is the vector's own (`valid` or `invalid`).
    pub fn note(&mut self, id: Value, expected: &str, ours: &Result<(), String>) {
        self.cases += 1;
        let agrees = match expected {
            "valid" => ours.is_ok(),
            "invalid" => ours.is_err(),
            _ => false,
        };
        if !agrees {
            let verdict = match ours {
                Ok(()) => format!("{expected}, accepted"),
                Err(why) => format!("{expected}, refused: {why}"),
            };
            self.choices.entry(verdict).or_default().push(id);
        }
    }

    /// Compares with the frozen choices.
    pub fn end(self, cases: usize) {
        assert_eq!(self.cases, cases, "{}: number of cases", self.file);
        let frozen: Value = serde_json::from_str(include_str!("../vector_choices.json")).unwrap();
        let frozen = frozen.get(self.file).cloned().unwrap_or(json!({}));
        let ours = json!(self.choices);
        assert!(ours == frozen, "{}: our choices are now\n{ours}", self.file);
    }
}

/// Every test of a Wycheproof file with its group.
pub fn tests(file: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let groups = file["testGroups"].as_array().unwrap();
    groups.iter().flat_map(|group| {
        let tests = group["tests"].as_array().unwrap();
        tests.iter().map(move |test| (group, test))
    })
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

/// The folder of vectors, or `None` with a note.
pub fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("FLEXSTORE_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: FLEXSTORE_VECTORS is not set");
    }
    folder
}

/// One vector file.
pub fn vector_file(path: &str) -> Option<Value> {
    let path = vectors()?.join(path);
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}
