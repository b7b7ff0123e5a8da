use flexstore_core::authority::{MAX_MEMBERS, Member, Roster, RosterError, Sealed};
use flexstore_core::{Digest, KeyTag};

use super::support::{leaf, nested, tag};

fn roster() -> Roster {
    Roster {
        members: vec![leaf(3), nested(1, Digest::of(b"x")), leaf(2)],
        until: [(tag(9), 5), (tag(8), 0)].into(),
        sealed: Some(Sealed {
            key: [7; 32],
            wrap: r#"{"protected":"x"}"#.into(),
        }),
    }
}

#[test]
fn what_is_written_is_read() {
    let whole = roster();
    assert_eq!(Roster::parse(whole.write().as_bytes()), Ok(whole));
    let gone = Roster {
        members: Vec::new(),
        until: Default::default(),
        sealed: None,
    };
    assert_eq!(gone.write(), r#"{"members":[]}"#);
    assert_eq!(Roster::parse(gone.write().as_bytes()), Ok(gone));
}

#[test]
fn every_other_text_is_refused() {
    let text = roster().write();
    for (from, to, error) in [
        (r#"{"members""#, r#"{ "members""#, RosterError::Layout),
        (r#""wrap""#, r#""wrop""#, RosterError::Layout),
        ("OKP", "RSA", RosterError::Layout),
        (r#","until":{"#, r#","until":{"x":1,"#, RosterError::Until),
        (
            &tag(3).to_string(),
            &tag(2).to_string(),
            RosterError::Member,
        ),
        (&tag(3).to_string(), "somebody", RosterError::Member),
        (&tag(9).to_string(), &tag(2).to_string(), RosterError::Until),
        (r#":5"#, ":9007199254740992", RosterError::Until),
        (r#":5"#, ":5.0", RosterError::Layout),
        (r#":5"#, ":-5", RosterError::Layout),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        assert_eq!(Roster::parse(bad.as_bytes()), Err(error), "{from} -> {to}");
    }
    let twice = text.replacen(r#"{"members""#, r#"{"members":[],"members""#, 1);
    assert_eq!(Roster::parse(twice.as_bytes()), Err(RosterError::Layout));
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"members":[],"wrap":"x"}"#,
        "{\"members\":[",
    ] {
        assert!(Roster::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let keyless = format!(r#"{{"members":["{}"]}}"#, tag(1));
    assert_eq!(Roster::parse(keyless.as_bytes()), Err(RosterError::Keys));
}

#[test]
fn the_number_of_members_is_bounded() {
    let member = |i: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&i.to_be_bytes());
        Member::leaf(KeyTag::from_bytes(bytes))
    };
    let mut many = roster();
    many.members = (0..MAX_MEMBERS).map(member).collect();
    assert!(Roster::parse(many.write().as_bytes()).is_ok());
    many.members.push(member(MAX_MEMBERS));
    assert_eq!(
        Roster::parse(many.write().as_bytes()),
        Err(RosterError::TooManyMembers)
    );
}
