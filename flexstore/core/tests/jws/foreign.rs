//! JWS that others made.

use std::collections::BTreeMap;

use flexstore_core::record::{Claim, Signed, verify};
use flexstore_core::{KeyTag, decode_base64url};
use serde_json::Value;

use crate::support::{frozen, lines, list, read_json, report, text, vectors};

/// A JWS as the vector has it: a text as it is, an object as its JSON text. The general form gets
/// the order that the JavaScript original and we give it, so that more than the order is tried.
fn as_text(jws: &Value) -> String {
    if let Some(text) = jws.as_str() {
        return text.to_owned();
    }
    let (Some(parts), Some(payload)) = (jws["signatures"].as_array(), jws.get("payload")) else {
        return jws.to_string();
    };
    let part = |part: &Value| {
        let unprotected = match part.get("header") {
            Some(header) => format!(",\"header\":{header}"),
            None => String::new(),
        };
        let (signature, protected) = (&part["signature"], &part["protected"]);
        format!("{{\"signature\":{signature},\"protected\":{protected}{unprotected}}}")
    };
    let parts: Vec<_> = parts.iter().map(part).collect();
    let parts = parts.join(",");
    format!("{{\"signatures\":[{parts}],\"payload\":{payload}}}")
}

fn outcome(jws: &str) -> String {
    match Signed::parse(jws.to_owned()) {
        Ok(_) => "ACCEPTED".into(),
        Err(error) => format!("refused, {error:?}"),
    }
}

/// What every signature of a JWS comes to under the key that it names, or under the one given.
fn signatures(jws: &Value, key: Option<&str>) -> Vec<bool> {
    let judge = |protected: &str, payload: &str, signature: &str| {
        let header = decode_base64url(protected.as_bytes())?;
        let header: Value = serde_json::from_slice(&header).ok()?;
        if header["alg"] != "EdDSA" {
            return None;
        }
        let key = KeyTag::parse(key.or(header["kid"].as_str())?).ok()?;
        let signature = decode_base64url(signature.as_bytes())?;
        Some(verify(&Claim {
            key: &key,
            signature: signature.as_slice().try_into().ok()?,
            message: format!("{protected}.{payload}").as_bytes(),
        }))
    };
    if let Some(compact) = jws.as_str() {
        let parts: Vec<_> = compact.split('.').collect();
        let [protected, payload, signature] = parts[..] else {
            return vec![false];
        };
        return vec![judge(protected, payload, signature).unwrap_or(false)];
    }
    list(&jws["signatures"])
        .iter()
        .map(|part| {
            let (protected, signature) = (text(&part["protected"]), text(&part["signature"]));
            judge(protected, text(&jws["payload"]), signature).unwrap_or(false)
        })
        .collect()
}

/// Reports that all are refused, and freezes how many for which reason.
fn refuses_all(accept: &str, name: &str, expected: usize, all: &[(String, String)]) {
    let mut reasons = BTreeMap::<String, usize>::new();
    for (_, outcome) in all {
        *reasons.entry(outcome.clone()).or_default() += 1;
    }
    let accepted = reasons.get("ACCEPTED").copied().unwrap_or(0);
    report(
        accept,
        &format!("{} JWS, {accepted} accepted", all.len()),
        &format!("{expected} JWS, 0 accepted"),
        accepted == 0 && all.len() == expected,
    );
    let reasons = reasons.into_iter().map(|(k, n)| (k, n.into()));
    frozen(name, &lines(reasons));
}

fn wycheproof(file: &str) -> Vec<(String, String)> {
    let Some(folder) = vectors() else {
        return Vec::new();
    };
    let all = read_json(&folder.join("wycheproof").join(file));
    let mut outcomes = Vec::new();
    for group in list(&all["testGroups"]) {
        for test in list(&group["tests"]) {
            // 34 of the crypto suite are JWE; as records they are refused as well.
            let subject = test.get("jws").unwrap_or(&test["jwe"]);
            let subject = as_text(subject);
            outcomes.push((test["tcId"].to_string(), outcome(&subject)));
        }
    }
    outcomes
}

#[test]
fn wycheproof_json_web_signature() {
    let all = wycheproof("json_web_signature_test.json");
    if !all.is_empty() {
        refuses_all(
            "vectors/wycheproof-jws",
            "jws-wycheproof-jws.json",
            401,
            &all,
        );
    }
}

#[test]
fn wycheproof_json_web_key() {
    let all = wycheproof("json_web_key_test.json");
    if !all.is_empty() {
        refuses_all(
            "vectors/wycheproof-jwk",
            "jws-wycheproof-jwk.json",
            26,
            &all,
        );
    }
}

#[test]
fn wycheproof_json_web_crypto() {
    let all = wycheproof("json_web_crypto_test.json");
    if !all.is_empty() {
        refuses_all(
            "vectors/wycheproof-jwcrypto",
            "jws-wycheproof-jwcrypto.json",
            83,
            &all,
        );
    }
}

#[test]
fn cookbook() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("jose-cookbook");
    let mut files = vec![folder.join("curve25519/jws.json")];
    for sub in ["jws", "rfc7797"] {
        let entries = std::fs::read_dir(folder.join(sub)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "json")));
    }
    let mut outcomes = Vec::new();
    for file in &files {
        let whole = read_json(file);
        for (form, jws) in whole["output"].as_object().unwrap() {
            outcomes.push((form.clone(), outcome(&as_text(jws))));
        }
    }
    assert_eq!(files.len(), 11);
    refuses_all("vectors/cookbook-jws", "jws-cookbook.json", 28, &outcomes);

    let ours = read_json(&folder.join("curve25519/jws.json"));
    let key = Some(text(&ours["input"]["key"]["x"]));
    let output = &ours["output"];
    let held = signatures(&output["compact"], key) == [true]
        && signatures(&output["json"], key) == [true]
        && signatures(&output["compact"], Some(&"A".repeat(43))) == [false];
    report(
        "vectors/cookbook-eddsa",
        "RFC 8037 A.4 holds",
        "holds",
        held,
    );
}

/// The original's own: what it signed is mathematically sound and yet no native record, for it
/// lacks `typ` and `col`. In its negatives every label says what was done; what that does to the
/// signatures is frozen. (Some hold: a claimed `iss` or a dropped signature is no false
/// signature, which is why records demand more than signatures that hold.)
#[test]
fn javascript_original() {
    let Some(folder) = vectors() else { return };
    let mut outcomes = Vec::new();
    let (mut accepted, mut unsound) = (0, 0);
    for file in ["signatures", "negative"] {
        let all = read_json(&folder.join(format!("js-flexstore/{file}.json")));
        for case in list(&all) {
            let jws = case.get("signature").unwrap_or(&case["jwe"]);
            let outcome = outcome(&as_text(jws));
            accepted += usize::from(outcome == "ACCEPTED");
            let mut told = outcome;
            if case.get("signature").is_some() {
                let holds = signatures(jws, None);
                unsound += usize::from(file == "signatures" && holds.contains(&false));
                told = format!("{told}; signatures hold: {holds:?}");
            }
            let name = format!("{file}: {}", text(&case["label"]));
            outcomes.push((name, Value::from(told)));
        }
    }
    let n = outcomes.len();
    report(
        "vectors/js-flexstore-native",
        &format!("{n} items, {accepted} accepted, {unsound} sound ones judged unsound"),
        "55 items, 0 accepted, 0 unsound",
        n == 55 && accepted == 0 && unsound == 0,
    );
    frozen("jws-js-flexstore.json", &lines(outcomes));
}
