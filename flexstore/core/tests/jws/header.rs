//! Attacks through the protected header.

use flexstore_core::encode_base64url;

use crate::attack::{Outcomes, bases, gaps, insert, members, object, replaced};
use crate::support::key;

/// Values of `alg` (JSON) that are not `"EdDSA"`: `none`, look-alikes, other algorithms, other
/// types.
const ALGORITHMS: [&str; 40] = [
    r#""none""#,
    r#""None""#,
    r#""NONE""#,
    r#""nOnE""#,
    r#""NoNe""#,
    r#""nonE""#,
    r#""none ""#,
    r#"" none""#,
    r#""\tnone""#,
    r#""none\n""#,
    r#""no ne""#,
    r#""\u006eone""#,
    r#""none\u0000""#,
    r#""""#,
    r#"" ""#,
    r#""eddsa""#,
    r#""EDDSA""#,
    r#""Eddsa""#,
    r#""edDSA""#,
    r#""EdDSa""#,
    r#""EdDSA ""#,
    r#"" EdDSA""#,
    r#""EdDSA\n""#,
    r#""Ed DSA""#,
    r#""EdDSA\u0000""#,
    "\"EdDSA\u{200b}\"",
    "\"\u{feff}EdDSA\"",
    "\"Ed\u{ff24}SA\"",
    r#""Ed25519""#,
    r#""Ed448""#,
    r#""ES256""#,
    r#""HS256""#,
    r#""RS256""#,
    "null",
    "0",
    "true",
    r#"["EdDSA"]"#,
    r#"{"alg":"EdDSA"}"#,
    r#"["none","EdDSA"]"#,
    r#""EdDSA,none""#,
];

/// Members that ask for another way to verify, or that nobody asked for.
const EXTRAS: [&str; 22] = [
    r#""crit":["b64"]"#,
    r#""crit":[]"#,
    r#""crit":["alg"]"#,
    r#""crit":["unknown"]"#,
    r#""crit":["unknown","unknown"]"#,
    r#""crit":["unknown"],"unknown":1"#,
    r#""crit":["typ","col"]"#,
    r#""crit":"b64""#,
    r#""crit":null"#,
    r#""crit":["b64"],"crit":[]"#,
    r#""Crit":["b64"]"#,
    r#""b64":false"#,
    r#""b64":false,"crit":["b64"]"#,
    r#""b64":true"#,
    r#""zip":"DEF""#,
    r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
    r#""jku":"http://127.0.0.1/keys""#,
    r#""x5u":"http://127.0.0.1/certificate""#,
    r#""x5c":["MIIB"]"#,
    r#""x5t":"AAAA""#,
    r#""":1"#,
    r#""group":"a""#,
];

const TIMES: [&str; 14] = [
    "1700000000000.0",
    "17e11",
    "1.7e12",
    "\"1700000000000\"",
    "-1700000000000",
    "01700000000000",
    "1e99",
    "-0",
    "9007199254740992",
    "18446744073709551616",
    "null",
    "[1700000000000]",
    "true",
    "1_0",
];

const AUDIENCES: [&str; 14] = [
    "[]",
    r#"["a"]"#,
    r#"["b","a"]"#,
    r#"["a","a"]"#,
    r#"["a",""]"#,
    r#"["a",null]"#,
    r#"["a",["b"]]"#,
    r#"[["a","b"]]"#,
    "{}",
    r#"{"tags":["a","b"]}"#,
    "false",
    "0",
    r#""a\u0001""#,
    "[,]",
];

/// Edits a header by its members.
fn reshaped(change: impl Fn(&mut Vec<String>)) -> impl Fn(&str) -> String {
    move |header| {
        let mut all = members(header);
        change(&mut all);
        object(&all)
    }
}

#[test]
fn headers() {
    let mut out = Outcomes::default();
    for base in bases() {
        let mut to = |class: &str, edit: &dyn Fn(&str) -> String| {
            let text = base.edited(edit);
            assert_ne!(text, base.text, "{class} does nothing to {}", base.name);
            out.attack(class, base.name, text);
        };
        for alg in ALGORITHMS {
            to("alg", &|h| replaced(h, "alg", alg));
        }
        for typ in [
            r#""JWT""#,
            r#""flexstore+JWS""#,
            r#""application/flexstore+jws""#,
            r#""""#,
            "null",
        ] {
            to("typ", &|h| replaced(h, "typ", typ));
        }
        for extra in EXTRAS {
            to("extra member, last", &|h| {
                insert(h, h.len() - 1, &format!(",{extra}"))
            });
            to("extra member, first", &|h| {
                insert(h, 1, &format!("{extra},"))
            });
        }
        for iat in TIMES {
            to("iat", &|h| replaced(h, "iat", iat));
        }
        for encryption in AUDIENCES {
            to("encryption", &|h| replaced(h, "encryption", encryption));
        }
        for col in [
            "notes",
            "MutableCollection",
            "MutableCollection/",
            "StateCollection/a",
            "mutablecollection/a",
            "/a",
            "MutableCollection/a\\u0000",
            "MutableCollection\\/a",
        ] {
            to("col", &|h| replaced(h, "col", &format!("\"{col}\"")));
        }
        let count = members(&base.headers[0]).len();
        for i in 0..count {
            // A plain record may lack `cty`, and a version `ant`: without, it is another record.
            let name = &members(&base.headers[0])[i];
            let free = name.starts_with("\"ant\"")
                || name.starts_with("\"cty\"") && base.headers[0].contains("\"encryption\":null");
            if !free {
                to(
                    "missing member",
                    &reshaped(|all| {
                        all.remove(i);
                    }),
                );
            }
            to("repeated member", &reshaped(|all| all.push(all[i].clone())));
            to(
                "repeated member",
                &reshaped(|all| all.insert(i, all[i].clone())),
            );
            for j in i + 1..count {
                to("reordered members", &reshaped(|all| all.swap(i, j)));
            }
            to(
                "null member",
                &reshaped(|all| {
                    let name = all[i].split(':').next().unwrap().to_owned();
                    // A plain record's null is its own.
                    let null = if name == "\"encryption\"" {
                        "[null]"
                    } else {
                        "null"
                    };
                    all[i] = format!("{name}:{null}");
                }),
            );
            to(
                "escaped name",
                &reshaped(|all| {
                    let first = all[i].as_bytes()[1];
                    all[i] = format!("\"\\u00{first:02x}{}", &all[i][2..]);
                }),
            );
        }
        for name in ["ant", "tag", "cty", "iss", "act"] {
            if !base.headers[0].contains(&format!("\"{name}\":")) {
                to("null for absent", &|h| {
                    insert(h, h.len() - 1, &format!(",\"{name}\":null"))
                });
                to("empty for absent", &|h| {
                    insert(h, h.len() - 1, &format!(",\"{name}\":\"\""))
                });
            }
        }
        for space in [" ", "\n", "\t", "\r", "\u{feff}", "\u{a0}", "\0"] {
            for i in 0..gaps(&base.headers[0]).len() {
                to("white space in the header", &|h| {
                    let all = gaps(h);
                    insert(h, all[i.min(all.len() - 1)], space)
                });
            }
        }
        for (from, escape) in [
            ("\"text/", "\"text\\/"),
            ("EdDSA", "\\u0045dDSA"),
            ("\"kid\":\"", "\"kid\":\"\\u0041"),
            ("Collection/", "Collection\\/"),
            ("\u{1f600}", "\\ud83d\\ude00"),
            ("\u{e9}", "\\u00e9"),
            ("\\\"q", "\\u0022q"),
        ] {
            if base.headers[0].contains(from) {
                to("escape in the header", &|h| h.replacen(from, escape, 1));
            }
        }
        for tail in ["{}", "\0", "//", ",", "}"] {
            to("bytes after the header", &|h| format!("{h}{tail}"));
        }
        to("header is an array", &|h| format!("[{h}]"));
        to("header is a string", &|h| {
            serde_json::Value::from(h).to_string()
        });
        to("header is empty", &|_| String::new());
        to("members as an array", &|h| {
            let all = members(h);
            let values: Vec<_> = all.iter().map(|m| m.split_once(':').unwrap().1).collect();
            format!("[{}]", values.join(","))
        });
    }
    out.finish("record/header-attacks", "jws-header-attacks.json");
}

/// Names that are claimed and not proved.
#[test]
fn names() {
    let mut out = Outcomes::default();
    let victim = key(9).tag().to_string();
    let small = encode_base64url(&{
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    });
    for base in bases() {
        let first = &base.headers[0];
        if base.seeds.len() == 1 {
            let own = key(1).tag().to_string();
            for claim in [
                format!(r#""iss":"{victim}","#),
                format!(r#""iss":"{own}","#),
                r#""iss":"","#.to_owned(),
                format!(r#""act":"{own}","#),
                format!(r#""iss":"{victim}","act":"{own}","#),
                format!(r#""iss":"{own}","act":"{own}","#),
            ] {
                let at = first.find("\"iat\"").unwrap();
                out.attack(
                    "compact claims iss or act",
                    base.name,
                    base.edited(|h| insert(h, at, &claim)),
                );
            }
        } else {
            for name in ["iss", "act"] {
                let other = base.edited(|h| replaced(h, name, &format!("\"{victim}\"")));
                out.attack("iss or act is not who signed", base.name, other);
                let same = if name == "iss" { 3 } else { 2 };
                let same = key(same).tag().to_string();
                let equal = base.edited(|h| replaced(h, name, &format!("\"{same}\"")));
                out.attack("iss is act", base.name, equal);
            }
            let claimed = base.edited(|h| {
                replaced(
                    &replaced(h, "iss", &format!("\"{victim}\"")),
                    "kid",
                    &format!("\"{victim}\""),
                )
            });
            out.attack("iss is not who signed", base.name, claimed);
        }
        for kid in [
            format!("\"{victim}\""),
            format!("\"{small}\""),
            format!("\"{victim}=\""),
            format!("\" {victim}\""),
            "\"../../etc/passwd\"".into(),
            "\"' OR 1=1 --\"".into(),
            "\"\"".into(),
            "0".into(),
            format!("[\"{victim}\"]"),
        ] {
            out.attack("kid", base.name, base.edited(|h| replaced(h, "kid", &kid)));
        }
    }
    out.finish("record/name-attacks", "jws-name-attacks.json");
}
