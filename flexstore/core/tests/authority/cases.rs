use flexstore_core::authority::Standing::{Counts, Unjudged as NotJudged, Void};
use flexstore_core::authority::Unjudged;

use super::support::{Book, Change, leaf, nested, tag};

/// The team of most cases, and its members in order of seniority.
const T: u8 = 100;
const A: u8 = 1;
const B: u8 = 2;
const C: u8 = 3;
/// Nobody's.
const X: u8 = 9;

#[test]
fn an_ex_member_cannot_add_itself_again() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B)]);
    let removal = book.then((T, A), first, 20, &[leaf(A)]);
    // It kept the team's key, and follows the head.
    book.then((T, B), removal, 30, &[leaf(A), leaf(B)]);
    assert_eq!(book.head(T), removal);
    assert_eq!(book.judge(T).standing(&tag(B), 40), Void);
    assert_eq!(book.judge(T).standing(&tag(B), 19), Counts);
}

#[test]
fn an_ex_member_that_forks_below_its_removal_loses() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B)]);
    let removal = book.then((T, A), first, 20, &[leaf(A)]);
    let mut fork = book.then((T, B), first, 15, &[leaf(B)]);
    for iat in 16..30 {
        fork = book.then((T, B), fork, iat, &[leaf(B), leaf(X)]);
    }
    assert_eq!(book.head(T), removal);
    assert_eq!(book.judge(T).standing(&tag(X), 40), Void);
}

#[test]
fn a_rival_first_record_counts_nothing_and_a_pin_settles_it() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B)]);
    let rival = book.first((T, B), 5, &[leaf(B)]);
    assert_eq!(book.judge(T).why_unjudged(), Some(Unjudged::Rivals));
    assert_eq!(book.judge(T).standing(&tag(A), 20), NotJudged);
    book.pins.insert(tag(T), first);
    assert_eq!(book.head(T), first);
    book.pins.insert(tag(T), rival);
    assert_eq!(book.judge(T).standing(&tag(A), 20), Void);
    // A first record must list its author: this one is none.
    book.pins.clear();
    let mut book = Book::default();
    book.first((T, X), 3, &[leaf(A)]);
    assert_eq!(book.judge(T).why_unjudged(), Some(Unjudged::Missing));
}

#[test]
fn of_two_members_removing_each_other_at_once_the_senior_stays() {
    for flip in [false, true] {
        let mut book = Book::default();
        let first = book.first((T, A), 10, &[leaf(A), leaf(B), leaf(C)]);
        let (early, late) = if flip { (30, 20) } else { (20, 30) };
        let by_a = book.then((T, A), first, early, &[leaf(A), leaf(C)]);
        let by_b = book.then((T, B), first, late, &[leaf(B), leaf(C)]);
        assert_eq!(book.head(T), by_a);
        // Whoever is junior to both changes nothing by joining one side.
        book.then((T, C), by_b, 40, &[leaf(B), leaf(C), leaf(X)]);
        assert_eq!(book.head(T), by_a);
        assert_eq!(book.judge(T).standing(&tag(B), 50), Void);
    }
}

#[test]
fn of_two_removals_at_once_one_stands_and_the_other_is_known_to_have_lost() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B), leaf(C), leaf(X)]);
    let by_a = book.then((T, A), first, 20, &[leaf(A), leaf(B), leaf(X)]);
    let by_b = book.then((T, B), first, 20, &[leaf(A), leaf(B), leaf(C)]);
    let judged = book.judge(T);
    assert_eq!(judged.head().unwrap().digest, by_a);
    assert_eq!(judged.sidelined()[0].digest, by_b);
    // Made again on the winner, both are gone.
    book.then((T, B), by_a, 30, &[leaf(A), leaf(B)]);
    let judged = book.judge(T);
    assert_eq!(judged.standing(&tag(C), 40), Void);
    assert_eq!(judged.standing(&tag(X), 40), Void);
    assert_eq!(judged.standing(&tag(X), 29), Counts);
}

#[test]
fn the_most_senior_signature_anywhere_in_a_branch_decides() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B), leaf(C)]);
    let by_b = book.then((T, B), first, 20, &[leaf(A), leaf(B)]);
    let by_c = book.then((T, C), first, 20, &[leaf(A), leaf(C)]);
    assert_eq!(book.head(T), by_b);
    let by_a = book.then((T, A), by_c, 30, &[leaf(A), leaf(C)]);
    assert_eq!(book.head(T), by_a);
}

#[test]
fn a_removal_with_until_reaches_back_and_never_forward() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B), leaf(C), leaf(X)]);
    let head = book.add(&Change {
        team: T,
        author: A,
        after: Some(first),
        iat: 50,
        members: &[leaf(A)],
        until: &[(B, 30), (C, 90), (X, 0)],
    });
    let judged = book.judge(T);
    assert_eq!(judged.standing(&tag(B), 29), Counts);
    assert_eq!(judged.standing(&tag(B), 30), Void);
    assert_eq!(judged.standing(&tag(C), 49), Counts);
    assert_eq!(judged.standing(&tag(C), 50), Void, "never later");
    assert_eq!(judged.standing(&tag(X), 0), Void);
    // The latest record that names one wins, except that 0 is final; re-adding opens anew.
    let again = book.add(&Change {
        team: T,
        author: A,
        after: Some(head),
        iat: 60,
        members: &[leaf(A)],
        until: &[(B, 20), (X, 40)],
    });
    book.then((T, A), again, 70, &[leaf(A), leaf(B), leaf(X)]);
    let judged = book.judge(T);
    assert_eq!(judged.standing(&tag(B), 20), Void);
    assert_eq!(judged.standing(&tag(B), 69), Void);
    assert_eq!(judged.standing(&tag(B), 70), Counts);
    assert_eq!(judged.standing(&tag(X), 80), Void, "0 is final");
}

#[test]
fn a_removed_phone_of_a_person_in_a_team_of_teams_can_do_nothing_more() {
    const TOP: u8 = 101;
    const PHONE: u8 = B;
    let mut book = Book::default();
    let person = book.first((T, A), 10, &[leaf(A), leaf(PHONE)]);
    let top = book.first((TOP, PHONE), 15, &[nested(T, person), leaf(C)]);
    assert_eq!(book.judge(TOP).standing(&tag(PHONE), 16), Counts);

    let removal = book.then((T, A), person, 20, &[leaf(A)]);
    assert_eq!(book.judge(TOP).standing(&tag(PHONE), 20), Void);
    // Until the team around heeds it, the phone can fork it, and loses when it does.
    let fork = book.then((TOP, PHONE), top, 18, &[leaf(PHONE)]);
    assert_eq!(book.head(TOP), fork);
    let rotated = book.then((TOP, A), top, 25, &[nested(T, removal), leaf(C)]);
    assert_eq!(book.head(TOP), rotated);
    book.then((TOP, PHONE), rotated, 30, &[leaf(PHONE)]);
    assert_eq!(book.head(TOP), rotated);
    // What it founded stays: `until` never voids Team records.
    assert_eq!(book.judge(TOP).path()[0].digest, top);
    // A new device of the person may act at once, without the team around doing anything.
    book.then((T, A), removal, 40, &[leaf(A), leaf(X)]);
    assert_eq!(book.judge(TOP).standing(&tag(X), 41), Counts);
    let by_new = book.then((TOP, X), rotated, 45, &[nested(T, removal)]);
    assert_eq!(book.head(TOP), by_new);
}

#[test]
fn a_contested_invitation_is_settled_by_pinning_the_claim() {
    // Whoever knows the secret is the same key: both claims have one author.
    const INVITE: u8 = 50;
    let mut book = Book::default();
    let first = book.first((T, INVITE), 10, &[leaf(INVITE)]);
    let one = book.then((T, INVITE), first, 20, &[leaf(A)]);
    let other = book.then((T, INVITE), first, 21, &[leaf(X)]);
    assert_eq!(book.head(T), one.min(other));
    assert_eq!(book.judge(T).sidelined().len(), 1);
    // Those who deal with the claimer have the claim's digest, not only the invitation's.
    for (claim, claimer) in [(one, A), (other, X)] {
        book.pins.insert(tag(T), claim);
        let judged = book.judge(T);
        assert_eq!(judged.head().unwrap().digest, claim);
        assert_eq!(judged.standing(&tag(claimer), 30), Counts);
    }
    book.pins
        .insert(tag(T), flexstore_core::Digest::of(b"nowhere"));
    assert_eq!(book.judge(T).why_unjudged(), Some(Unjudged::Missing));
}

#[test]
fn teams_in_a_circle_add_nobody() {
    const U: u8 = 102;
    let mut book = Book::default();
    let t = book.first((T, A), 10, &[leaf(A)]);
    let u = book.first((U, B), 10, &[leaf(B), nested(T, t)]);
    let t2 = book.then((T, A), t, 20, &[leaf(A), nested(U, u)]);
    let judged = book.judge(T);
    assert_eq!(judged.head().unwrap().digest, t2);
    assert_eq!(judged.standing(&tag(B), 30), Counts);
    assert_eq!(book.judge(U).standing(&tag(A), 30), Counts);
    assert_eq!(book.judge(T).standing(&tag(X), 30), Void);
    // B may act for T through U, and U's word on T comes to nothing in itself.
    let t3 = book.then((T, B), t2, 30, &[leaf(A), nested(U, u)]);
    assert_eq!(book.head(T), t3);
}

#[test]
fn a_team_whose_nested_team_is_missing_is_incomplete_for_strangers_only() {
    const U: u8 = 102;
    let mut book = Book::default();
    let u = Change {
        team: U,
        author: B,
        after: None,
        iat: 5,
        members: &[leaf(B)],
        until: &[],
    };
    let digest = u.sign().digest();
    book.first((T, A), 10, &[leaf(A), nested(U, digest)]);
    assert_eq!(book.judge(T).standing(&tag(A), 20), Counts);
    assert_eq!(book.judge(T).standing(&tag(B), 20), NotJudged);
    book.add(&u);
    assert_eq!(book.judge(T).standing(&tag(B), 20), Counts);
    assert_eq!(book.judge(T).standing(&tag(X), 20), Void);
}

#[test]
fn a_record_dated_before_the_one_it_follows_is_none() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A)]);
    book.then((T, A), first, 10, &[leaf(A), leaf(X)]);
    assert_eq!(book.head(T), first);
}

#[test]
fn a_destroyed_team_has_nobody() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B)]);
    let end = book.then((T, A), first, 20, &[]);
    book.then((T, B), end, 30, &[leaf(B)]);
    let judged = book.judge(T);
    assert_eq!(judged.head().unwrap().digest, end);
    assert_eq!(judged.standing(&tag(A), 19), Counts);
    assert_eq!(judged.standing(&tag(A), 20), Void);
    assert!(judged.current().is_empty());
}

#[test]
fn the_order_of_arrival_does_not_enter() {
    let mut book = Book::default();
    let first = book.first((T, A), 10, &[leaf(A), leaf(B), leaf(C)]);
    let one = book.then((T, B), first, 20, &[leaf(A), leaf(B)]);
    book.then((T, C), first, 21, &[leaf(A), leaf(C), leaf(X)]);
    book.then((T, A), one, 22, &[leaf(A), leaf(B), leaf(X)]);
    let expected = book.judge(T).fingerprint();
    for _ in 0..4 {
        book.rotate(T);
        assert_eq!(book.judge(T).fingerprint(), expected);
    }
}

#[test]
fn a_thicket_of_teams_harms_only_those_who_come_through_it() {
    const THICKET: std::ops::Range<u8> = 110..122;
    let mut book = Book::default();
    let before = book.first((T, A), 10, &[leaf(A), leaf(B)]);
    // Each of twelve teams lists all others, and B adds one of them.
    let mut firsts = Vec::new();
    for team in THICKET {
        firsts.push(book.first((team, B), 5, &[leaf(B)]));
    }
    for (team, first) in THICKET.zip(firsts.clone()) {
        let others = THICKET.zip(&firsts).filter(|(other, _)| *other != team);
        let mut members: Vec<_> = others.map(|(other, first)| nested(other, *first)).collect();
        members.push(leaf(X));
        members.push(leaf(B));
        book.then((team, B), first, 6, &members);
    }
    let members = [leaf(A), leaf(B), nested(THICKET.start, firsts[0])];
    let head = book.then((T, B), before, 20, &members);
    let judged = book.judge(T);
    assert_eq!(judged.head().unwrap().digest, head);
    assert_eq!(judged.standing(&tag(A), 30), Counts);
    assert_eq!(judged.standing(&tag(X), 30), NotJudged);
}
