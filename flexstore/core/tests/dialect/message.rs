use flexstore_core::dialect::{MAX_MESSAGE_BYTES, Message, MessageError};
use flexstore_core::{Digest, Tag};

use crate::support::{list, read_json, text, vectors};

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn every() -> Vec<(&'static str, Message)> {
    let hash = Digest::of(b"");
    vec![
        (
            r#"{"method":"versions","params":[17,17]}"#,
            Message::Versions { min: 17, max: 17 },
        ),
        (
            r#"{"method":"hash","params":["a","47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"]}"#,
            Message::Hash {
                tag: tag("a"),
                hash,
            },
        ),
        (r#"{"method":"endTags","params":[]}"#, Message::EndTags),
        (
            r#"{"method":"get","params":["é\"\\/😀"]}"#,
            Message::Get(tag("é\"\\/😀")),
        ),
        (
            r#"{"method":"put","params":["a",null]}"#,
            Message::Put {
                tag: tag("a"),
                record: None,
            },
        ),
        (
            r#"{"method":"put","params":["a","{\"x\":1}"]}"#,
            Message::Put {
                tag: tag("a"),
                record: Some("{\"x\":1}".into()),
            },
        ),
        (
            r#"{"method":"delete","params":["a","h..s"]}"#,
            Message::Delete {
                tag: tag("a"),
                record: "h..s".into(),
            },
        ),
        (
            r#"{"method":"synchronizationComplete","params":[3]}"#,
            Message::SynchronizationComplete(3),
        ),
        (
            r#"{"method":"fragments","params":[0,2]}"#,
            Message::Fragments { id: 0, count: 2 },
        ),
        (
            r#"{"method":"frag","params":[0,1,"\"}\n"]}"#,
            Message::Frag {
                id: 0,
                index: 1,
                text: "\"}\n".into(),
            },
        ),
    ]
}

#[test]
fn every_message_is_read_and_written_byte_for_byte() {
    for (text, message) in every() {
        assert_eq!(Message::parse(text), Ok(message.clone()), "{text}");
        assert_eq!(message.write(), text);
    }
}

#[test]
fn the_recorded_transcript_is_read_and_written_byte_for_byte() {
    let Some(folder) = vectors() else { return };
    let file = read_json(&folder.join("js-flexstore/flexstore.json"));
    let scenarios = list(&file["scenarios"]);
    let transcript = scenarios
        .iter()
        .find_map(|one| one["transcript"].as_array())
        .unwrap();
    assert!(transcript.len() > 20);
    for line in transcript.iter().filter(|line| line.is_object()) {
        // As given to `send`, which makes the text of method and params in this order.
        let sent = format!(
            r#"{{"method":{},"params":{}}}"#,
            line["method"], line["params"]
        );
        let message = Message::parse(&sent).unwrap();
        assert_eq!(message.method(), text(&line["method"]));
        assert_eq!(message.write(), sent);
    }
}

/// Every name that a JavaScript object inherits, and those of the original's own class.
const NAMES: [&str; 24] = [
    "constructor",
    "toString",
    "toLocaleString",
    "valueOf",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "fetch",
    "send",
    "disconnect",
    "connectServer",
    "synchronize",
    "create",
    "post",
    "log",
    "",
    "Versions",
    "put ",
    "p\u{fc}t",
];

#[test]
fn unknown_and_inherited_method_names_are_refused() {
    for name in NAMES {
        for params in ["[]", "[1]", r#"["a"]"#, r#"["a","b"]"#, r#"["http://x/"]"#] {
            let text = format!(r#"{{"method":"{name}","params":{params}}}"#);
            assert_eq!(Message::parse(&text), Err(MessageError::Method), "{text}");
        }
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "x",
        "{",
        "}",
        "nul",
        "{\"method\":",
        r#"{"method":"get","params":["a"]"#,
        r#"{"method":"get","params":["a"]}x"#,
        r#"{"method":"get","params":["a"],}"#,
        r#"{"method":"get","params":["a",]}"#,
        "{\"method\":\"get\",\"params\":[\"a\u{0}\"]}",
        "{\"method\":\"get\",\n\"params\":[\"a\"]}",
        r#"{'method':'get','params':['a']}"#,
        r#"{"method":"frag","params":[0,0,"\x"]}"#,
        "\u{feff}{}",
    ] {
        let found = Message::parse(text);
        assert_eq!(found, Err(MessageError::NotJson), "{text:?}");
    }
    let deep = format!(r#"{{"method":"get","params":{}"#, "[".repeat(200_000));
    assert!(Message::parse(&deep).is_err());
}

#[test]
fn other_shapes_are_refused() {
    for text in [
        "null",
        "1",
        "[]",
        "{}",
        r#""versions""#,
        r#"{"method":"endTags"}"#,
        r#"{"params":[]}"#,
        r#"{"params":[],"method":"endTags"}"#,
        r#"{"method":["endTags"],"params":[]}"#,
        r#"{"method":"endTags","params":[],"params":[]}"#,
        r#"{"method":"endTags","params":[],"id":1}"#,
        r#"{"method":"endTags","method":"endTags","params":[]}"#,
    ] {
        assert_eq!(Message::parse(text), Err(MessageError::Shape), "{text}");
    }
}

#[test]
fn parameters_are_counted_and_typed() {
    for (method, params) in [
        ("versions", "[17]"),
        ("versions", "[17,17,17]"),
        ("versions", "[17,\"17\"]"),
        ("versions", "[17,-1]"),
        ("versions", "[17,17.5]"),
        ("versions", "{}"),
        ("versions", "null"),
        ("hash", r#"["a"]"#),
        ("hash", r#"["a","b"]"#),
        ("hash", r#"["a",null]"#),
        ("endTags", "[null]"),
        ("endTags", "[[]]"),
        ("get", "[]"),
        ("get", "[1]"),
        ("get", "[null]"),
        ("get", r#"["a","b"]"#),
        ("put", r#"["a"]"#),
        ("put", r#"["a",1]"#),
        ("put", r#"["a",{}]"#),
        ("put", r#"["a","b","c"]"#),
        ("delete", r#"["a",null]"#),
        ("delete", r#"["a"]"#),
        ("fragments", "[0]"),
        ("fragments", "[0,1e3]"),
        ("frag", "[0,0]"),
        ("frag", "[0,0,null]"),
        ("frag", "[0,0,[]]"),
        ("synchronizationComplete", "[]"),
        ("synchronizationComplete", "[18446744073709551616]"),
    ] {
        let text = format!(r#"{{"method":"{method}","params":{params}}}"#);
        assert_eq!(Message::parse(&text), Err(MessageError::Params), "{text}");
    }
}

#[test]
fn what_cannot_be_a_tag_is_told_apart() {
    let long = "x".repeat(257);
    for bad in ["", r"a\u0000b", r"a\nb", r"\ud83d", &long] {
        let text = format!(r#"{{"method":"get","params":["{bad}"]}}"#);
        assert_eq!(Message::parse(&text), Err(MessageError::Tag), "{text}");
    }
    // A path is a name like any.
    let text = r#"{"method":"get","params":["../../../etc/passwd"]}"#;
    assert_eq!(
        Message::parse(text),
        Ok(Message::Get(tag("../../../etc/passwd")))
    );
}

#[test]
fn the_longest_message_is_read_and_one_byte_more_is_not() {
    let of = |len: usize| {
        let frame = Message::Put {
            tag: tag("a"),
            record: Some("".into()),
        }
        .write();
        let record = Some("x".repeat(len - frame.len()).into());
        Message::Put {
            tag: tag("a"),
            record,
        }
        .write()
    };
    let longest = of(MAX_MESSAGE_BYTES);
    assert_eq!(longest.len(), MAX_MESSAGE_BYTES);
    assert!(Message::parse(&longest).is_ok());
    assert_eq!(
        Message::parse(&of(MAX_MESSAGE_BYTES + 1)),
        Err(MessageError::TooLong)
    );
}
