//! Single properties of an object, sealed one by one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seal_support;

use flexstore::seal::{
    BindingMember, Kid, Malformed, OpenError, SealError, open_properties, seal_properties,
};
use seal_support::*;
use serde_json::{Value, json};

#[test]
fn properties_are_sealed_one_by_one() {
    let plain = json!({"name": "Ann", "age": 41, "address": {"city": "Paris"}, "note": null});
    let mut object = plain.as_object().unwrap().clone();
    seal_properties(&mut object, &["age", "note"], &binding(), &[audience(1)]).unwrap();
    seal_properties(&mut object, &["address"], &binding(), &[audience(2)]).unwrap();
    assert_eq!(object["name"], "Ann");
    assert!(object["age"]["$sealed"].is_string());
    let own = secret(1);
    let as_one = |kid_: &Kid| (*kid_ == kid(1)).then_some(&own);

    // Two properties exchanged do not open, and the object stays as it is.
    let mut swapped = object.clone();
    swapped.insert("age".into(), object["note"].clone());
    swapped.insert("note".into(), object["age"].clone());
    let before = swapped.clone();
    assert_eq!(
        open_properties(&mut swapped, &binding(), &as_one),
        Err(OpenError::Binding(BindingMember::Property))
    );
    assert_eq!(swapped, before);

    let closed = open_properties(&mut object, &binding(), &as_one).unwrap();
    assert_eq!(closed, ["address"]);
    assert_eq!(object["age"], 41);
    assert_eq!(object["note"], Value::Null);
    let other = secret(2);
    let closed = open_properties(&mut object, &binding(), &|_| Some(&other)).unwrap();
    assert!(closed.is_empty());
    assert_eq!(Value::Object(object), plain);
}

#[test]
fn properties_that_cannot_be_sealed() {
    let mut object = json!({"a": 1, "b": {"$sealed": "x", "more": 1}});
    let object = object.as_object_mut().unwrap();
    let before = object.clone();
    for (names, error) in [
        (&["a", "c"][..], SealError::NoProperty("c".into())),
        (&["a", "b"], SealError::AlreadySealed("b".into())),
        (&["a", "a"], SealError::AlreadySealed("a".into())),
    ] {
        let sealed = seal_properties(object, names, &binding(), &[audience(1)]);
        assert_eq!(sealed, Err(error));
        assert_eq!(*object, before);
    }
    assert_eq!(
        open_properties(object, &binding(), &|_| None),
        Err(Malformed::MemberType.into())
    );
}
