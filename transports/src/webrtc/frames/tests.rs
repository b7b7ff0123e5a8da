#![allow(clippy::unwrap_used)] // a test

use super::*;

fn cut(frames: &[&[u8]]) -> Vec<Bytes> {
    let mut cutter = Cutter::default();
    for frame in frames {
        cutter.push(Bytes::copy_from_slice(frame));
    }
    let mut messages = Vec::new();
    while let Some(message) = cutter.take() {
        messages.push(message.freeze());
    }
    assert_eq!(cutter.bytes(), 0);
    messages
}

fn join(messages: &[Bytes]) -> Result<Vec<Bytes>, LinkError> {
    let mut joiner = Joiner::default();
    let mut frames = Vec::new();
    for message in messages {
        joiner.message(message.clone(), |frame| frames.push(frame))?;
    }
    Ok(frames)
}

#[test]
fn frames_of_every_length_come_back() {
    let edge = MESSAGE_BYTES - HEADER_BYTES;
    let mut lengths = vec![0, 1, 2, 3, 100, MAX_FRAME_BYTES - 1, MAX_FRAME_BYTES];
    lengths.extend(edge - 5..edge + 5);
    lengths.extend(2 * edge - 5..2 * edge + 5);
    for length in &lengths {
        let frame: Vec<u8> = (0..*length).map(|n| n as u8).collect();
        let messages = cut(&[&frame]);
        assert!(
            messages
                .iter()
                .all(|message| message.len() <= MESSAGE_BYTES)
        );
        assert_eq!(join(&messages).unwrap(), [frame], "{length}");
    }
    // All in a row, sharing messages.
    let frames: Vec<Vec<u8>> = lengths.iter().map(|length| vec![7; *length]).collect();
    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let messages = cut(&slices);
    let total: usize = lengths.iter().sum();
    assert!(messages.len() <= total / (MESSAGE_BYTES - 64) + 1);
    assert_eq!(join(&messages).unwrap(), frames);
}

#[test]
fn short_frames_share_messages() {
    let frames = vec![&[1; 1000][..]; 160];
    assert_eq!(cut(&frames).len(), 10);
}

#[test]
fn a_frame_past_the_limit() {
    let messages = cut(&[&vec![0; MAX_FRAME_BYTES + 1]]);
    assert_eq!(join(&messages), Err(LinkError::TooLong));
}

#[test]
fn memory_is_what_came_and_a_little() {
    let mut joiner = Joiner::default();
    // Single bytes, each in a message of its own, of a frame that never ends.
    let byte = Bytes::from_static(&[0, 1, 9]);
    for came in 1..200_000 {
        joiner.message(byte.clone(), |_| ()).unwrap();
        assert!(joiner.partial.capacity() <= came + AHEAD_BYTES);
    }
}

#[test]
fn a_short_frame_does_not_keep_a_message() {
    let messages = cut(&[&[1; 10], &[2; 8000]]);
    let frames = join(&messages).unwrap();
    let message = messages[0].as_ptr_range();
    assert!(!message.contains(&frames[0].as_ptr()));
    assert!(message.contains(&frames[1].as_ptr()));
    let long = cut(&[&[3; 16_000]]);
    let frames = join(&long).unwrap();
    assert!(long[0].as_ptr_range().contains(&frames[0].as_ptr()));
}

#[test]
fn what_is_no_message() {
    for message in [
        &[0x80][..],
        &[0x80, 2, 1],
        &[0x00, 2, 1],
        &[0xff, 0xff],
        &[0x80, 1, 1, 0x80],
        // Goodbye, and then something; or in the middle of a frame, or of a message.
        &[0, 0, 0x80, 1, 1],
        &[0, 0, 0],
        &[0, 0, 0, 0, 0],
        &[0, 1, 9, 0, 0],
        &[0x80, 1, 9, 0, 0],
    ] {
        let joined = join(&[Bytes::from_static(message)]);
        assert_eq!(joined, Err(LinkError::Protocol), "{message:?}");
    }
    let unfinished = [Bytes::from_static(&[0, 1, 9]), goodbye().freeze()];
    assert_eq!(join(&unfinished), Err(LinkError::Protocol));
}

#[test]
fn goodbyes() {
    let mut joiner = Joiner::default();
    let mut met = |message: BytesMut| joiner.message(message.freeze(), |_| ());
    assert_eq!(met(goodbye()), Ok(Met::Goodbye));
    assert_eq!(met(heard()), Ok(Met::Heard));
    assert_eq!(met(BytesMut::from(&[0x80, 0][..])), Ok(Met::More));
}
