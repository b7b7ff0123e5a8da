//! Every case of the vectors that the JavaScript original made, judged under the js profile. Where
//! our verdict is another than the recorded one, `js_choices.json` says which and why; a case that
//! is new, missing or judged otherwise fails. `BLESS=1` writes the verdicts anew and keeps the
//! reasons; one without a reason fails.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod js_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flexstore::js::{
    Draft, Found, Judgement, KeySet, Shelf, Signed, TEAM, Team, TeamRecord, Verified,
    encryption_key, judge, migrate, migrate_device_file, open_item, unlock,
};
use flexstore::seal::js::{open, seal};
use flexstore::{Digest, KeyTag, Tag};
use flexstore_core::decode_base64url;
use flexstore_core::record::{CTY_SEALED, Content, Encryption};
use js_support::*;
use serde_json::{Value, json};

/// What a verdict comes to: nothing, or the words of the refusal.
type Ours = Result<(), String>;

#[derive(Default)]
struct Verdicts {
    cases: BTreeMap<String, usize>,
    /// By file and case: what was recorded and what we say.
    differences: BTreeMap<String, BTreeMap<String, (bool, String)>>,
}

impl Verdicts {
    fn note(&mut self, file: &str, case: &str, recorded: bool, ours: Ours) {
        *self.cases.entry(file.into()).or_default() += 1;
        if recorded != ours.is_ok() {
            let said = ours.err().unwrap_or_else(|| "accepted".into());
            let file = self.differences.entry(file.into()).or_default();
            let before = file.insert(case.into(), (recorded, said));
            assert!(before.is_none(), "two cases of one name: {case}");
        }
    }

    fn compare(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js_choices.json");
        let frozen: Value = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let differences = self.differences.iter().map(|(file, cases)| {
            let cases = cases.iter().map(|(case, (recorded, ours))| {
                let why = frozen["differences"][file][case]["why"].as_str();
                let entry = json!({
                    "recorded": if *recorded { "accepted" } else { "refused" },
                    "ours": ours, "why": why.unwrap_or_default(),
                });
                (case.clone(), entry)
            });
            (file.clone(), Value::Object(cases.collect()))
        });
        let differences = Value::Object(differences.collect());
        let now = json!({"cases": self.cases, "differences": differences});
        if std::env::var_os("BLESS").is_some() {
            let text = serde_json::to_string_pretty(&now).unwrap();
            std::fs::write(&path, text + "\n").unwrap();
        } else {
            assert_eq!(frozen, now, "other verdicts than those frozen");
        }
        for (file, cases) in now["differences"].as_object().unwrap() {
            for (case, entry) in cases.as_object().unwrap() {
                assert_ne!(entry["why"], "", "{file}: {case} has no reason");
            }
        }
    }
}

fn read(text: &str, shelf: &str, tag: Option<&str>) -> Result<Verified, String> {
    let tag = tag.map(|tag| Tag::new(tag).unwrap());
    Signed::parse(text.to_owned(), &Shelf::parse(shelf).unwrap(), tag.as_ref())
        .map_err(|error| format!("{error:?}"))?
        .verify()
        .map_err(|error| format!("{error:?}"))
}

/// A signature made outside any collection. An empty payload is what `destroy` stores, in the
/// collections of keys and nowhere else.
fn alone(signature: &Value) -> Result<Verified, String> {
    let text = text(signature);
    let empty = text.contains("..") || text.ends_with(r#""payload":""}"#);
    if empty && !text.ends_with('.') {
        return read(&text, "MutableCollection/EncryptionKey", None);
    }
    read(&text, "MutableCollection/any", Some("any"))
}

fn credential(name: &str, record: &Value) -> Verified {
    read(&text(record), &format!("MutableCollection/{name}"), None).unwrap()
}

/// The text of what is a string or an object.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_recorded_case() {
    let Some(folder) = vectors() else { return };
    let mut verdicts = Verdicts::default();
    let manifest = file(&folder, "manifest.json");
    let named: Vec<_> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| text(&f["file"]))
        .collect();
    let known = [
        "keys.json",
        "records.json",
        "signatures.json",
        "encryption.json",
        "membership.json",
        "negative.json",
        "primitives.json",
        "flexstore.json",
    ];
    assert_eq!(named, known, "the manifest names others");
    let keys = Keys::read(&folder);
    keys_and_primitives(&mut verdicts, &folder, &keys);
    records(&mut verdicts, &folder, &keys);
    signatures(&mut verdicts, &folder);
    encryption(&mut verdicts, &folder, &keys);
    membership(&mut verdicts, &folder, &keys);
    negative(&mut verdicts, &folder, &keys);
    flexstore(&mut verdicts, &folder, &keys);
    verdicts.compare();
}

fn keys_and_primitives(verdicts: &mut Verdicts, folder: &Path, keys: &Keys) {
    for (name, entry) in file(folder, "keys.json").as_object().unwrap() {
        let jwks = entry["privateKeySet"].to_string();
        let set = KeySet::from_jwks(&jwks).unwrap();
        let same = set.to_jwks().as_str() == jwks
            && set.tag().to_string() == entry["tag"]
            && hex::encode(set.tag().as_bytes()) == entry["verificationKeyRawHex"];
        verdicts.note(
            "keys.json",
            name,
            true,
            same.then_some(()).ok_or("differs".into()),
        );
    }
    let primitives = file(folder, "primitives.json");
    for (of, hash) in primitives["sha256_base64url"].as_object().unwrap() {
        assert_eq!(Digest::of(of.as_bytes()).to_string(), *hash);
        verdicts.note("primitives.json", of, true, Ok(()));
    }
    for wrap in ["deviceWrapKeyHex", "recoveryWrapKeyHex"] {
        let wrap = &primitives[wrap];
        let hash = Digest::of(text(&wrap["secret"]).as_bytes());
        assert_eq!(hex::encode(hash.as_bytes()), wrap["key"]);
        verdicts.note("primitives.json", &text(&wrap["secret"]), true, Ok(()));
    }
    assert!(keys.by_name.len() >= 12);
}

/// What was stored when the keys were made: read here, opened, and made again byte for byte.
fn records(verdicts: &mut Verdicts, folder: &Path, keys: &Keys) {
    let records = file(folder, "records.json");
    let private = file(folder, "keys.json");
    let note = |verdicts: &mut Verdicts, kind: &str, name: &str| {
        verdicts.note("records.json", &format!("{kind} {name}"), true, Ok(()));
    };
    for (name, entry) in records["EncryptionKey"].as_object().unwrap() {
        let record = credential("EncryptionKey", &entry["record"]);
        encryption_key(&record).unwrap();
        let own = &keys.by_name[name];
        let header = record.header();
        assert_eq!(
            (own.tag(), own.encryption_jwk().as_bytes()),
            (header.owner, &record.payload()[..])
        );
        let draft = same_content(&record, "MutableCollection/EncryptionKey");
        assert_eq!(keys.sign(draft, &record).text(), record.text());
        note(verdicts, "EncryptionKey", name);
    }
    for (name, entry) in records["KeyRecovery"].as_object().unwrap() {
        let secret = text(&private[name]["secret"]);
        let migrated = migrate(text(&entry["record"]), &secret).unwrap();
        assert_eq!(migrated.prompt, private[name]["prompt"]);
        assert_eq!(migrated.keys.to_jwks(), keys.by_name[name].to_jwks());
        let record = credential("KeyRecovery", &entry["record"]);
        let draft = same_content(&record, "MutableCollection/KeyRecovery");
        assert_eq!(keys.sign(draft, &record).text(), record.text());
        note(verdicts, "KeyRecovery", name);
    }
    for (name, entry) in records["DeviceFile"].as_object().unwrap() {
        let secret = text(&private[name]["secret"]);
        let migrated = migrate_device_file(&text(&entry["fileText"]), &secret).unwrap();
        assert_eq!(migrated.keys.to_jwks(), keys.by_name[name].to_jwks());
        note(verdicts, "DeviceFile", name);
    }
    let teams: BTreeMap<KeyTag, Team> = records["Team"]
        .as_object()
        .unwrap()
        .values()
        .map(|entry| Team::read(credential("Team", &entry["record"])).unwrap())
        .map(|team| (team.tag(), team))
        .collect();
    for (name, entry) in records["Team"].as_object().unwrap() {
        let team = &teams[&KeyTag::parse(&text(&entry["tag"])).unwrap()];
        let mut listed: Vec<_> = team.members().iter().map(ToString::to_string).collect();
        let mut asked: Vec<_> = private[name]["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        listed.sort();
        asked.sort();
        assert_eq!(listed, asked);
        // From nothing but the devices and recoveries, through whatever nests.
        let opened = unlock(&team.tag(), &mut |tag| match teams.get(tag) {
            Some(team) => Some(Found::Team(team.clone())),
            None => keys.get(tag).map(Found::Keys),
        });
        assert_eq!(opened.unwrap().to_jwks(), keys.by_name[name].to_jwks());
        let draft = same_content(team.record(), "MutableCollection/Team");
        assert_eq!(keys.sign(draft, team.record()).text(), team.record().text());
        note(verdicts, "Team", name);
    }
}

fn signatures(verdicts: &mut Verdicts, folder: &Path) {
    for case in file(folder, "signatures.json").as_array().unwrap() {
        let ours = alone(&case["signature"]).map(|record| {
            let payload = decode_base64url(text(&case["payloadBase64url"]).as_bytes()).unwrap();
            assert_eq!(payload, record.payload()[..]);
        });
        let recorded = case["expect"]["verifies"] == true;
        verdicts.note("signatures.json", &text(&case["label"]), recorded, ours);
    }
}

fn encryption(verdicts: &mut Verdicts, folder: &Path, keys: &Keys) {
    for case in file(folder, "encryption.json").as_array().unwrap() {
        let label = text(&case["label"]);
        if case["jws"].is_object() {
            let record = alone(&case["jws"]).unwrap();
            let opened = open_item(&record, &|tag| keys.secret(tag.as_str())).unwrap();
            assert_eq!(
                str::from_utf8(&opened.content).unwrap(),
                case["expect"]["text"]
            );
            verdicts.note("encryption.json", &label, true, Ok(()));
            continue;
        }
        for (name, expect) in case["expect"].as_object().unwrap() {
            // As the holder: a compact one opens whatever its kid, as in the original.
            let own = &keys.by_name[name];
            let tag = own.tag().to_string();
            let compact = case["jwe"].is_string();
            let opened = open(&text(&case["jwe"]), &|kid| {
                (compact || kid == Some(&tag)).then_some(own.opening())
            });
            let ours = opened.map_err(|error| format!("{error:?}")).map(|opened| {
                let content = decode_base64url(text(&expect["payloadBase64url"]).as_bytes());
                assert_eq!(*opened.content, content.unwrap());
            });
            let recorded = expect["decrypts"] == true;
            verdicts.note(
                "encryption.json",
                &format!("{label} as {name}"),
                recorded,
                ours,
            );
        }
    }
}

/// A history of a team. What the original asks by options is, here, whether the item counts;
/// `member: null` and `false` ask for the signatures alone.
fn membership(verdicts: &mut Verdicts, folder: &Path, keys: &Keys) {
    let name = "membership.json";
    let mut teams: BTreeMap<KeyTag, Vec<TeamRecord>> = BTreeMap::new();
    let mut items: BTreeMap<String, Verified> = BTreeMap::new();
    let mut sealed = String::new();
    for step in file(folder, name).as_array().unwrap() {
        if let Some(stores) = step["stores"].as_array() {
            for store in stores {
                let collection = text(&store["collection"]);
                let record = credential(&collection, &store["record"]);
                assert_eq!(record.header().owner.to_string(), store["tag"]);
                if collection == TEAM {
                    let team = Team::read(record).unwrap();
                    teams.entry(team.tag()).or_default().push(team.judged());
                }
                let case = format!(
                    "{}: {collection} {}",
                    text(&step["step"]),
                    text(&store["tag"])
                );
                verdicts.note(name, &case, true, Ok(()));
            }
        } else if let Some(signature) = step["signature"].as_str() {
            items.insert(signature.into(), alone(&step["record"]).unwrap());
            verdicts.note(name, &format!("signature {signature}"), true, Ok(()));
        } else if step["encryption"].is_string() {
            sealed = text(&step["jwe"]);
            verdicts.note(name, "encryption", true, Ok(()));
        } else if let Some(case) = step["verify"].as_str() {
            let item = case.split_whitespace().next().unwrap();
            let item = &items[item];
            let header = item.header();
            let member = step["args"][0].get("member");
            let ours = if member.is_some() {
                Ok(())
            } else {
                let judged: Judgement = judge(&teams[&header.owner], None).unwrap();
                let counts = judged.counts(&header.author, header.iat);
                counts.then_some(()).ok_or("does not count".to_owned())
            };
            verdicts.note(name, case, step["verifies"] == true, ours);
        } else if let Some(case) = step["decrypt"].as_str() {
            // The keys of a team stay the same for ever.
            let kid = header_of(&sealed)["kid"].as_str().unwrap().to_owned();
            let crew = keys.get(&KeyTag::parse(&kid).unwrap());
            let ours = match crew {
                Some(crew) => open(&sealed, &|_| Some(crew.opening()))
                    .map(drop)
                    .map_err(|error| format!("{error:?}")),
                None => crew_from(folder, &sealed, &step["text"], keys),
            };
            verdicts.note(name, case, true, ours);
        } else {
            panic!("a step of no known kind: {step}");
        }
    }
}

/// The team's keys as the member of its last list opens them.
fn crew_from(folder: &Path, sealed: &str, content: &Value, keys: &Keys) -> Ours {
    let mut last = None;
    for step in file(folder, "membership.json").as_array().unwrap() {
        for store in step["stores"].as_array().into_iter().flatten() {
            if store["collection"] == TEAM && header_of(sealed)["kid"] == store["tag"] {
                let team = Team::read(credential(TEAM, &store["record"])).unwrap();
                last = if team.members().is_empty() {
                    last
                } else {
                    Some(team)
                };
            }
        }
    }
    let team = last.unwrap();
    let member = team.members()[0];
    let own = keys.get(&member).unwrap();
    let crew = team.open(&member, own.opening()).unwrap();
    let opened = open(sealed, &|_| Some(crew.opening())).map_err(|error| format!("{error:?}"))?;
    assert_eq!(str::from_utf8(&opened.content).unwrap(), content);
    Ok(())
}

fn negative(verdicts: &mut Verdicts, folder: &Path, keys: &Keys) {
    let name = "negative.json";
    for case in file(folder, name).as_array().unwrap() {
        let label = text(&case["label"]);
        if case["kind"] == "jws" {
            // A tag or team in the arguments is what the caller demands.
            let demanded = [&case["args"][0], &case["args"][0]["team"]];
            let demanded = demanded.iter().find_map(|tag| tag.as_str());
            let ours = alone(&case["signature"]).and_then(|record| {
                let owner = record.header().owner.to_string();
                let fits = demanded.is_none_or(|tag| tag == owner);
                fits.then_some(()).ok_or("another owner".to_owned())
            });
            verdicts.note(name, &label, case["expect"]["verifies"] == true, ours);
        } else {
            assert_eq!(case["kind"], "jwe");
            let tag = text(&case["tag"]);
            let compact = case["jwe"].is_string();
            let ours = open(&text(&case["jwe"]), &|kid| {
                (compact || kid == Some(&tag))
                    .then(|| keys.secret(&tag))
                    .flatten()
            });
            let ours = ours.map(drop).map_err(|error| format!("{error:?}"));
            verdicts.note(name, &label, case["expect"]["decrypts"] == true, ours);
        }
    }
}

fn flexstore(verdicts: &mut Verdicts, folder: &Path, keys: &Keys) {
    let name = "flexstore.json";
    let vectors = file(folder, name);
    let mut made_again = 0;
    let mut judge_one = |case: String, shelf: &str, tag: &str, record: &str| {
        let verdict = read(record, shelf, Some(tag));
        if let Ok(record) = &verdict {
            if let Encryption::Sealed(audience) = &record.header().encryption
                && keys.secret(audience[0].as_str()).is_some()
            {
                open_item(record, &|tag| keys.secret(tag.as_str())).unwrap();
            }
            if keys.holds(record) && !record_has_tag_member(record) {
                let mut draft = same_content(record, shelf);
                draft.claimed = record.claimed();
                assert_eq!(keys.sign(draft, record).text(), record.text(), "{case}");
                made_again += 1;
            }
        }
        verdicts.note(name, &case, true, verdict.map(drop));
    };
    for (n, item) in vectors["items"].as_array().unwrap().iter().enumerate() {
        let collection = text(&item["collection"]);
        let case = format!("{n} {collection}: {}", text(&item["label"]));
        let shelf = format!("{collection}/any");
        judge_one(case, &shelf, &text(&item["tag"]), &text(&item["record"]));
    }
    let [fork, transcript, signals] = &vectors["scenarios"].as_array().unwrap()[..] else {
        panic!("other scenarios");
    };
    let tag = text(&fork["tag"]);
    for root in ["A", "B", "relayRecord", "mergedRecord"] {
        let case = format!("fork: {root}");
        judge_one(case, "VersionedCollection/any", &tag, &text(&fork[root]));
    }
    for (state, entry) in fork["states"].as_object().unwrap() {
        let case = format!("fork: state {state}");
        judge_one(case, "StateCollection/any", state, &text(&entry["record"]));
    }
    let list = read(
        &text(&fork["relayRecord"]),
        "VersionedCollection/any",
        Some(&tag),
    )
    .unwrap();
    assert!(list.claimed().is_some(), "the relay names the owner");
    assert_ne!(
        list.header().owner.to_string(),
        text(&vectors["tags"]["team"])
    );
    assert_eq!(list.heads().len(), 2);
    // What travels: whose messages these are is the dialect's to judge; their hashes are digests.
    for (n, message) in transcript["transcript"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let method = message["method"].as_str().unwrap_or("remark");
        if method == "hash" {
            Digest::parse(message["params"][1].as_str().unwrap()).unwrap();
        }
        verdicts.note(name, &format!("message {n} {method}"), true, Ok(()));
    }
    for (n, signal) in signals["signals"].as_array().unwrap().iter().enumerate() {
        assert_eq!(signal.as_array().unwrap().len(), 2);
        verdicts.note(name, &format!("signal {n}"), true, Ok(()));
    }
    assert!(made_again >= 28, "{made_again} made again byte for byte");
}

/// The root that an owner made by merging repeats its tag, by an accident that we do not copy.
fn record_has_tag_member(record: &Verified) -> bool {
    let text = str::from_utf8(record.text()).unwrap();
    let header = match serde_json::from_str::<Value>(text) {
        Ok(whole) => text_of_header(whole["signatures"][0]["protected"].as_str().unwrap()),
        Err(_) => text_of_header(text.split('.').next().unwrap()),
    };
    header.get("tag").is_some()
}

/// A draft with the content of a record, to be signed again.
fn same_content(record: &Verified, shelf: &str) -> Draft {
    let header = record.header();
    let content = match &header.encryption {
        Encryption::Tombstone => Content::Tombstone,
        Encryption::Sealed(audience) => Content::Sealed {
            jwe: record.payload().clone(),
            audience: audience.clone(),
        },
        Encryption::Plain => Content::Plain {
            payload: record.payload().clone(),
            cty: header.cty.clone(),
        },
    };
    let shelf = Shelf::parse(shelf).unwrap();
    let mut draft = Draft::new(shelf, header.tag.clone(), content, header.iat);
    draft.ant = header.ant;
    draft
}

/// Ed25519 is deterministic: from the same keys, content and time come the same bytes.
#[test]
fn what_we_sign_is_what_the_package_signs() {
    let Some(folder) = vectors() else { return };
    let keys = Keys::read(&folder);
    let mut made = Vec::new();
    for case in file(&folder, "signatures.json").as_array().unwrap() {
        let label = text(&case["label"]);
        // Options that no record of the original has, or no time to repeat.
        let foreign = [
            "no-time",
            "subject",
            "no-subject",
            "extra-headers",
            "no-iss",
        ];
        if foreign
            .iter()
            .any(|word| label.ends_with(&format!("/{word}")))
        {
            continue;
        }
        let record = alone(&case["signature"]).unwrap();
        // The package alone signs like the collections of keys; the last has the members of
        // flexstore's items.
        let shelf = if label == "single/extra-null" {
            "MutableCollection/any"
        } else {
            "MutableCollection/EncryptionKey"
        };
        let draft = same_content(&record, shelf);
        assert_eq!(keys.sign(draft, &record).text(), record.text(), "{label}");
        made.push(label);
    }
    assert_eq!(made.len(), 17, "{made:?}");
}

/// The vectors' keys open what we seal to them, and the JWE has the original's header.
#[test]
fn what_we_seal_has_the_form_of_the_original() {
    let Some(folder) = vectors() else { return };
    let keys = Keys::read(&folder);
    let user = &keys.by_name["user"];
    let to = flexstore::seal::js::Audience {
        kid: user.tag().to_string(),
        key: user.encryption_key().unwrap(),
    };
    let jwe = seal(b"x", Some("text/plain"), &[to]).unwrap();
    let names: Vec<_> = header_of(&jwe)
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, ["alg", "enc", "kid", "cty"]);
    let audience = user.tag().tag();
    let key = user.encryption_key().unwrap();
    let content = flexstore::js::seal_item(b"x", Some("text/plain"), &audience, &key).unwrap();
    let Content::Sealed { .. } = &content else {
        panic!("sealed")
    };
    let shelf = Shelf::parse("MutableCollection/any").unwrap();
    let draft = Draft::new(shelf, Tag::new("t").unwrap(), content, 5);
    let record = draft.sign(user.signing()).unwrap();
    assert_eq!(record.header().cty.as_deref(), Some(CTY_SEALED));
    let opened = open_item(&record, &|tag| keys.secret(tag.as_str())).unwrap();
    assert_eq!(*opened.content, b"x");
    let _: Arc<KeySet> = keys.get(&user.tag()).unwrap();
}
