//! Attacks through the envelope: which signatures, in which form, over which payload.

use flexstore_core::encode_base64url;
use serde_json::Value;

use crate::attack::{Base, Outcomes, bases, gaps, insert, replaced};
use crate::support::{compact, general, part};

#[test]
fn general_form() {
    let mut out = Outcomes::default();
    for base in bases().iter().filter(|base| base.seeds.len() == 2) {
        signatures(&mut out, base);
        headers(&mut out, base);
        layout(&mut out, base);
    }
    out.finish("record/general-attacks", "jws-general-attacks.json");
}

fn signatures(out: &mut Outcomes, base: &Base) {
    let [owner, author] = &base.parts()[..] else {
        panic!("two")
    };
    let outsider = part(7, base.headers[1].as_bytes(), &base.payload);
    let choices: [(&str, Vec<&String>); 12] = [
        ("none", vec![]),
        ("owner only", vec![owner]),
        ("author only", vec![author]),
        ("reordered", vec![author, owner]),
        ("owner twice", vec![owner, owner]),
        ("author twice", vec![author, author]),
        ("third: owner", vec![owner, author, owner]),
        ("third: author", vec![owner, author, author]),
        ("third: outsider", vec![owner, author, &outsider]),
        ("outsider first", vec![&outsider, owner, author]),
        ("outsider for author", vec![owner, &outsider]),
        ("outsider for owner", vec![&outsider, author]),
    ];
    for (name, parts) in choices {
        let parts: Vec<_> = parts.into_iter().cloned().collect();
        out.attack(
            &format!("signatures: {name}"),
            base.name,
            general(&parts, &base.payload),
        );
    }
    // Each signs, but for the other: the names of the keys are swapped.
    let swapped = [
        part(3, base.headers[0].as_bytes(), &base.payload),
        part(2, base.headers[1].as_bytes(), &base.payload),
    ];
    out.attack(
        "signatures: by each other's key",
        base.name,
        general(&swapped, &base.payload),
    );
    let (one, two) = (&base.headers[0], &base.headers[1]);
    let flipped = [
        part(2, two.as_bytes(), &base.payload),
        part(3, one.as_bytes(), &base.payload),
    ];
    out.attack(
        "signatures: over each other's header",
        base.name,
        general(&flipped, &base.payload),
    );
    out.attack(
        "general with one, as compact",
        base.name,
        compact(2, one.as_bytes(), &base.payload),
    );
    out.attack(
        "general with one, as compact",
        base.name,
        compact(3, two.as_bytes(), &base.payload),
    );
}

/// Both sign, but not the same.
fn headers(out: &mut Outcomes, base: &Base) {
    let other_key = encode_base64url(&[8; 32]);
    let edits = [
        ("iat", "1700000000001"),
        ("encryption", r#"["x","y"]"#),
        ("sub", &format!("\"{other_key}\"")),
        ("col", r#""VersionedCollection/other""#),
        ("col", r#""MutableCollection/other""#),
        ("iss", &format!("\"{other_key}\"")),
        ("act", &format!("\"{other_key}\"")),
        ("tag", r#""other""#),
        ("cty", r#""text/html""#),
        ("ant", &format!("\"{other_key}\"")),
    ];
    for (name, value) in edits {
        for slot in 0..2 {
            if !base.headers[slot].contains(&format!("\"{name}\":")) {
                continue;
            }
            let mut headers = base.headers.clone();
            headers[slot] = replaced(&headers[slot], name, value);
            out.attack("headers disagree", name, base.with(&headers, &base.payload));
        }
    }
}

fn layout(out: &mut Outcomes, base: &Base) {
    let text = &base.text;
    let mut to = |class: &str, text: String| {
        assert_ne!(text, base.text, "{class}");
        out.attack(class, base.name, text);
    };
    for space in [" ", "\n", "\t", "\r", "\u{feff}", "\0"] {
        for gap in gaps(text) {
            to("white space", insert(text, gap, space));
        }
    }
    for tail in ["{}", "}", "\0", ".", "..", "x"] {
        to("trailing bytes", format!("{text}{tail}"));
        to("leading bytes", format!("{tail}{text}"));
    }
    for name in ["signatures", "signature", "protected", "payload"] {
        let (first, rest) = name.split_at(1);
        let escaped = format!("\\u00{:02x}{rest}", first.as_bytes()[0]);
        to(
            "escaped name",
            text.replacen(&format!("\"{name}\":"), &format!("\"{escaped}\":"), 1),
        );
        let doubled = format!("\"{name}\":\"\",\"{name}\":");
        to(
            "repeated member",
            text.replacen(&format!("\"{name}\":"), &doubled, 1),
        );
        to(
            "other case",
            text.replacen(
                &format!("\"{name}\":"),
                &format!("\"{}\":", name.to_uppercase()),
                1,
            ),
        );
    }
    let eyj = text.find("eyJ").unwrap();
    to(
        "escape in base64url",
        format!("{}\\u0065{}", &text[..eyj], &text[eyj + 1..]),
    );
    for header in [
        "{}",
        "null",
        r#"{"crit":["b64"]}"#,
        r#"{"crit":[]}"#,
        r#"{"alg":"none"}"#,
        r#"{"kid":"x"}"#,
        r#"{"b64":false}"#,
    ] {
        let member = format!(",\"header\":{header}");
        to(
            "unprotected header",
            text.replacen("\"},{", &format!("\"{member}}},{{"), 1),
        );
        to(
            "unprotected header",
            text.replacen("\"}],", &format!("\"{member}}}],"), 1),
        );
        to("unprotected header", insert(text, text.len() - 1, &member));
    }
    for extra in [
        r#""x":1"#,
        r#""crit":["b64"]"#,
        r#""signature":"""#,
        r#""protected":"""#,
        r#""typ":"JOSE+JSON""#,
    ] {
        to("extra member", insert(text, 1, &format!("{extra},")));
        to(
            "extra member",
            insert(text, text.len() - 1, &format!(",{extra}")),
        );
    }
    let parts = base.parts();
    let payload = encode_base64url(&base.payload);
    let signatures = parts.join(",");
    to(
        "reordered members",
        format!(r#"{{"payload":"{payload}","signatures":[{signatures}]}}"#),
    );
    let fields: Vec<Value> = parts
        .iter()
        .map(|part| serde_json::from_str(part).unwrap())
        .collect();
    let turned: Vec<_> = fields
        .iter()
        .map(|part| {
            format!(
                r#"{{"protected":{},"signature":{}}}"#,
                part["protected"], part["signature"]
            )
        })
        .collect();
    to("reordered members", general(&turned, &base.payload));
    to(
        "mixed order",
        general(&[parts[0].clone(), turned[1].clone()], &base.payload),
    );
    for part in &fields {
        let (protected, signature) = (&part["protected"], &part["signature"]);
        to(
            "flattened",
            format!(r#"{{"payload":"{payload}","protected":{protected},"signature":{signature}}}"#),
        );
        to(
            "flattened",
            format!(r#"{{"signature":{signature},"protected":{protected},"payload":"{payload}"}}"#),
        );
        to(
            "flattened and general",
            insert(
                text,
                1,
                &format!(r#""protected":{protected},"signature":{signature},"#),
            ),
        );
    }
    // serde reads a struct from an array too.
    to(
        "arrays for objects",
        format!(r#"[[{signatures}],"{payload}"]"#),
    );
    let arrays: Vec<_> = fields
        .iter()
        .map(|part| format!("[{},{}]", part["signature"], part["protected"]))
        .collect();
    to(
        "arrays for objects",
        format!(
            r#"{{"signatures":[{}],"payload":"{payload}"}}"#,
            arrays.join(",")
        ),
    );
    to("in an array", format!("[{text}]"));
    to("in a string", Value::from(text.as_str()).to_string());
    to(
        "detached payload",
        text.replacen(&format!(",\"payload\":\"{payload}\""), "", 1),
    );
    to(
        "payload null",
        text.replacen(&format!(":\"{payload}\"}}"), ":null}", 1),
    );
    to("in UTF-16", text.chars().flat_map(|c| [c, '\0']).collect());
}

#[test]
fn compact_form() {
    let mut out = Outcomes::default();
    for base in bases().iter().filter(|base| base.seeds.len() == 1) {
        let text = &base.text;
        let parts: Vec<_> = text.split('.').collect();
        let (protected, payload, signature) = (parts[0], parts[1], parts[2]);
        let mut to = |class: &str, text: String| out.attack(class, base.name, text);
        to("as general with one", general(&base.parts(), &base.payload));
        let twice = [base.parts(), base.parts()].concat();
        to("as general with one twice", general(&twice, &base.payload));
        to(
            "flattened",
            format!(
                r#"{{"payload":"{payload}","protected":"{protected}","signature":"{signature}"}}"#
            ),
        );
        to(
            "flattened",
            format!(
                r#"{{"signature":"{signature}","protected":"{protected}","payload":"{payload}"}}"#
            ),
        );
        to("no signature", format!("{protected}.{payload}."));
        to("no signature", format!("{protected}.{payload}"));
        to("no header", format!(".{payload}.{signature}"));
        to("header only", protected.to_owned());
        to("nothing", String::new());
        to("four parts", format!("{text}."));
        to("four parts", format!(".{text}"));
        to("four parts", format!("{text}.{signature}"));
        to(
            "five parts, as a JWE",
            format!("{protected}..{payload}.{payload}.{signature}"),
        );
        to(
            "reordered parts",
            format!("{payload}.{protected}.{signature}"),
        );
        to("in a string", format!("\"{text}\""));
        for space in [" ", "\n", "\r\n", "\t", "\0", "\u{feff}", "="] {
            for at in [
                0,
                1,
                protected.len(),
                protected.len() + 1,
                text.len() - signature.len(),
                text.len() - 1,
                text.len(),
            ] {
                to("white space or padding", insert(text, at, space));
            }
        }
        for alg in ["none", "None", "NONE"] {
            let header = replaced(&base.headers[0], "alg", &format!("\"{alg}\""));
            to(
                "alg none, no signature",
                format!("{}.{payload}.", encode_base64url(header.as_bytes())),
            );
        }
    }
    out.finish("record/compact-attacks", "jws-compact-attacks.json");
}
