use flexstore_core::Tag;
use flexstore_core::dialect::{
    FragmentError, Fragments, Frames, MAX_MESSAGE_BYTES, MAX_OPEN, MAX_OPEN_BYTES, MAX_PIECES,
    Message, PIECE_TIMEOUT_MS, PIECE_UNITS, Piece,
};
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000;

/// The frames of a `put` whose JSON text has so many UTF-16 units.
fn put(record: &str) -> Message {
    let tag = Tag::new("t").unwrap();
    Message::Put {
        tag,
        record: Some(record.to_owned().into()),
    }
}

fn frames(message: &Message) -> Vec<String> {
    let mut number = 7;
    let frames: Vec<_> = Frames::of(message, &mut number).collect();
    assert_eq!(number, 7 + u64::from(frames.len() > 1));
    frames
}

/// Reads frames in the order given.
fn read(frames: &[String]) -> Message {
    let mut fragments = Fragments::default();
    for frame in frames {
        match Message::parse(frame).unwrap() {
            Message::Fragments { id, count } => fragments.open(NOW, id, count).unwrap(),
            Message::Frag { id, index, text } => {
                if let Some(whole) = fragments.take(NOW, id, index, text).unwrap() {
                    return Message::parse(&whole).unwrap();
                }
            }
            message => return message,
        }
    }
    panic!("incomplete");
}

#[test]
fn a_text_of_16000_units_is_cut_and_one_of_15999_is_not() {
    let envelope = put("").write().len();
    let short = put(&"x".repeat(PIECE_UNITS - 1 - envelope));
    assert_eq!(frames(&short), [short.write()]);
    let long = put(&"x".repeat(PIECE_UNITS - envelope));
    let cut = frames(&long);
    assert_eq!(cut[0], r#"{"method":"fragments","params":[7,1]}"#);
    assert_eq!(cut.len(), 2);
    assert_eq!(read(&cut), long);
    let longer = put(&"x".repeat(PIECE_UNITS - envelope + 1));
    let cut = frames(&longer);
    assert_eq!(cut[0], r#"{"method":"fragments","params":[7,2]}"#);
    assert_eq!(cut[2], r#"{"method":"frag","params":[7,1,"}"]}"#);
    assert_eq!(read(&cut), longer);
}

#[test]
fn a_pair_that_is_cut_in_two_is_one_letter_again() {
    // Where the cut falls depends on what stands before: at one of two lengths it splits a pair.
    let mut halves = 0;
    for pad in 0..2 {
        let record = "x".repeat(pad) + &"😀".repeat(PIECE_UNITS);
        let message = put(&record);
        let cut = frames(&message);
        // As the original would: any two units may be parted, and a lone half is an escape.
        let text: Vec<u16> = message.write().encode_utf16().collect();
        for (slice, frame) in text.chunks(PIECE_UNITS).zip(&cut[1..]) {
            halves += usize::from(frame.contains(r"\ud83d") || frame.contains(r"\ude00"));
            let Message::Frag { text, .. } = Message::parse(frame).unwrap() else {
                panic!("{frame}")
            };
            let lossy = String::from_utf16_lossy(slice);
            let halves = char::decode_utf16(slice.iter().copied())
                .filter(Result::is_err)
                .count();
            assert_eq!(
                text.len(),
                lossy.len(),
                "a half takes three bytes, as its mark does"
            );
            assert_eq!(frame.matches(r"\ud").count(), halves);
        }
        assert_eq!(read(&cut), message);
    }
    assert!(halves > 0, "no pair was cut");
}

#[test]
fn pieces_in_any_order_and_between_others() {
    let (one, two) = (put(&"é".repeat(40_000)), put(&"\"".repeat(40_000)));
    let mut number = 0;
    let a: Vec<_> = Frames::of(&one, &mut number).collect();
    let b: Vec<_> = Frames::of(&two, &mut number).collect();
    let mut mixed = vec![a[0].clone(), b[0].clone()];
    mixed.extend(a[1..].iter().rev().cloned());
    assert_eq!(read(&mixed), one);
    mixed.truncate(2);
    for (x, y) in a[1..a.len() - 1].iter().rev().zip(&b[1..]) {
        mixed.extend([x.clone(), y.clone()]);
    }
    mixed.extend(b[a.len() - 1..].iter().cloned());
    assert_eq!(read(&mixed), two);
}

#[test]
fn sixteen_messages_may_be_under_way_and_no_more() {
    let mut fragments = Fragments::default();
    for id in 0..MAX_OPEN as u64 {
        fragments.open(NOW, id, MAX_PIECES).unwrap();
    }
    for id in 0..10_000 {
        let refused = if id < MAX_OPEN as u64 {
            FragmentError::Reused
        } else {
            FragmentError::TooMany
        };
        assert_eq!(fragments.open(NOW, id, MAX_PIECES), Err(refused));
    }
    assert!(
        fragments.reserved() <= 64 << 10,
        "{} bytes for nothing",
        fragments.reserved()
    );
    // What is reserved is what came, and 64 KiB.
    let mut came = 0;
    for id in 0..MAX_OPEN as u64 {
        for index in 0..MAX_PIECES - 1 {
            let text = Piece::from("x".repeat(900).as_str());
            came += Message::Frag {
                id,
                index,
                text: text.clone(),
            }
            .write()
            .len();
            assert_eq!(fragments.take(NOW, id, index, text), Ok(None));
            assert!(fragments.reserved() <= came + (64 << 10));
        }
    }
}

#[test]
fn counts_and_places_have_limits() {
    let mut fragments = Fragments::default();
    for count in [0, MAX_PIECES + 1, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(fragments.open(NOW, 1, count), Err(FragmentError::Count));
    }
    fragments.open(NOW, 1, MAX_PIECES).unwrap();
    let take = |fragments: &mut Fragments, id, index, text: &str| {
        fragments.take(NOW, id, index, text.into())
    };
    assert_eq!(take(&mut fragments, 2, 0, "x"), Err(FragmentError::Unknown));
    for index in [MAX_PIECES, u64::from(u32::MAX) + 1, u64::MAX] {
        assert_eq!(
            take(&mut fragments, 1, index, "x"),
            Err(FragmentError::Index)
        );
    }
    assert_eq!(take(&mut fragments, 1, MAX_PIECES - 1, "x"), Ok(None));
    assert_eq!(
        take(&mut fragments, 1, MAX_PIECES - 1, "x"),
        Err(FragmentError::Twice)
    );
    let rest = "x".repeat(MAX_MESSAGE_BYTES - 1);
    assert_eq!(take(&mut fragments, 1, 0, &rest), Ok(None));
    assert_eq!(take(&mut fragments, 1, 1, "x"), Err(FragmentError::TooLong));
}

#[test]
fn all_that_is_under_way_has_a_limit() {
    let mut fragments = Fragments::default();
    let whole = "x".repeat(MAX_MESSAGE_BYTES);
    for id in 0..4 {
        fragments.open(NOW, id, 2).unwrap();
        assert_eq!(fragments.take(NOW, id, 0, whole.as_str().into()), Ok(None));
    }
    assert_eq!(4 * whole.len(), MAX_OPEN_BYTES);
    fragments.open(NOW, 4, 2).unwrap();
    assert_eq!(fragments.take(NOW, 4, 0, "".into()), Ok(None));
    let more = fragments.take(NOW, 4, 1, "x".into());
    assert_eq!(more, Err(FragmentError::TooMuch));
}

#[test]
fn half_a_pair_at_the_end_is_no_text() {
    let mut fragments = Fragments::default();
    let half = |text: &str| {
        let frame = format!(r#"{{"method":"frag","params":[1,0,"{text}"]}}"#);
        let Message::Frag { text, .. } = Message::parse(&frame).unwrap() else {
            panic!("{frame}")
        };
        text
    };
    for bad in [r"\ud83d", r"\ude00", r"\ude00\ud83d", r"x\ud83dx"] {
        fragments.open(NOW, 1, 1).unwrap();
        assert_eq!(
            fragments.take(NOW, 1, 0, half(bad)),
            Err(FragmentError::NotText)
        );
    }
    for (bad, then) in [
        (r"\ud83d", r"\ud83d"),
        (r"\ude00", r"\ude00"),
        (r"\ude00", r"\ud83d"),
    ] {
        fragments.open(NOW, 1, 2).unwrap();
        assert_eq!(fragments.take(NOW, 1, 0, half(bad)), Ok(None));
        assert_eq!(
            fragments.take(NOW, 1, 1, half(then)),
            Err(FragmentError::NotText)
        );
    }
    fragments.open(NOW, 1, 2).unwrap();
    assert_eq!(fragments.take(NOW, 1, 1, half(r"\ude00")), Ok(None));
    assert_eq!(
        fragments.take(NOW, 1, 0, half(r"\ud83d")),
        Ok(Some("😀".into()))
    );
}

#[test]
fn the_rest_of_a_message_has_thirty_seconds() {
    let mut fragments = Fragments::default();
    assert_eq!(fragments.next_timeout(), None);
    fragments.open(NOW, 1, 3).unwrap();
    assert_eq!(fragments.next_timeout(), Some(NOW + PIECE_TIMEOUT_MS));
    fragments.take(NOW + 10, 1, 0, "x".into()).unwrap();
    assert_eq!(fragments.next_timeout(), Some(NOW + 10 + PIECE_TIMEOUT_MS));
}

proptest! {
    #[test]
    fn whatever_is_cut_is_put_together(text in "[\u{20}-\u{7e}é\u{2028}😀𝄞\"\\\\]{0,40}", times in 1usize..1500) {
        let message = put(&text.repeat(times));
        prop_assert_eq!(read(&frames(&message)), message);
    }
}
