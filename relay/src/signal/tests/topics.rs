//! Topics, one rule at a time.

use flexstore_core::wire::signal::Event;

use super::*;

type Seat = (Token, AnnouncerId);

fn events(world: &mut World, seat: Seat, cursor: u64) -> Result<Vec<Event>, Refusal> {
    let Rendezvous { topics, ledger, .. } = &mut world.all;
    let fetched = topics.fetch(seat.0, cursor, world.now, ledger)?;
    let events = messages(fetched);
    Ok(events
        .iter()
        .map(|event| Event::decode(event).unwrap())
        .collect())
}

fn send(world: &mut World, seat: Seat, to: AnnouncerId, text: &str) -> Result<(), Refusal> {
    let Rendezvous { topics, ledger, .. } = &mut world.all;
    topics.send(seat.0, to, bytes(text), None, world.now, ledger)
}

fn leave(world: &mut World, seat: Seat) {
    world.all.topics.leave(seat.0, &mut world.all.ledger);
}

#[test]
fn announcers_hear_of_each_other_and_of_no_other_topic() {
    let mut world = World::new();
    let a = world.announce("t", address(1)).unwrap();
    let other = world.announce("u", address(1)).unwrap();
    let b = world.announce("t", address(2)).unwrap();
    send(&mut world, b, a.1, "hello").unwrap();
    assert_eq!(send(&mut world, other, a.1, "x"), Err(Refusal::Nobody));
    leave(&mut world, b);
    let message = bytes("hello");
    let heard = [
        Event::You(a.1),
        Event::Came(b.1),
        Event::Message { from: b.1, message },
        Event::Left(b.1),
    ];
    assert_eq!(events(&mut world, a, 0).unwrap(), heard);
    assert_eq!(events(&mut world, other, 0).unwrap(), [Event::You(other.1)]);
    let c = world.announce("t", address(3)).unwrap();
    let present = [Event::You(c.1), Event::Came(a.1)];
    assert_eq!(events(&mut world, c, 0).unwrap(), present);
    // The silent leave.
    world.pass(SILENCE - Duration::from_millis(1));
    events(&mut world, c, 2).unwrap();
    world.pass(Duration::from_millis(1));
    assert_eq!(events(&mut world, c, 2).unwrap(), [Event::Left(a.1)]);
    assert_eq!(events(&mut world, a, 4), Err(Refusal::Gone));
    // Who stays in touch stays, for longer than a slot would.
    for _ in 0..SLOT_LIFETIME.as_secs() / 30 + 1 {
        world.pass(SILENCE / 2);
        assert_eq!(events(&mut world, c, 3), Ok(vec![]));
    }
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn announcers_up_to_the_limit_and_past_it() {
    let mut world = World::new();
    for n in 0..MAX_ANNOUNCERS_PER_ADDRESS {
        world.announce("t", address(1)).unwrap();
        world.announce("t", address(2)).unwrap();
        assert_eq!(world.all.topics.counts()[1], 2 * (n + 1));
    }
    assert_eq!(world.announce("t", address(1)), Err(Refusal::TooMany));
    for n in 2 * MAX_ANNOUNCERS_PER_ADDRESS..MAX_ANNOUNCERS {
        world.announce("t", address(n as u32 + 3)).unwrap();
    }
    assert_eq!(world.announce("t", address(1000)), Err(Refusal::Taken));
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn messages_of_an_announcer_up_to_the_limit_and_past_it() {
    let mut world = World::new();
    let a = world.announce("t", address(1)).unwrap();
    let b = world.announce("t", address(2)).unwrap();
    for _ in 0..MESSAGES_AT_ONCE {
        assert_eq!(send(&mut world, a, b.1, "x"), Ok(()));
    }
    assert_eq!(send(&mut world, a, b.1, "x"), Err(Refusal::TooOften));
    world.pass(MESSAGE_EVERY);
    assert_eq!(send(&mut world, a, b.1, "x"), Ok(()));
    assert_eq!(send(&mut world, a, b.1, "x"), Err(Refusal::TooOften));
    // To nobody counts too.
    world.pass(MESSAGE_EVERY);
    let nobody = AnnouncerId([9; 16]);
    assert_eq!(send(&mut world, a, nobody, "x"), Err(Refusal::Nobody));
    assert_eq!(send(&mut world, a, b.1, "x"), Err(Refusal::TooOften));
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn who_does_not_fetch_is_ended_and_nobody_else() {
    let mut world = World::new();
    let slow = world.announce("t", address(1)).unwrap();
    let mut cursor = 0;
    let good = world.announce("t", address(2)).unwrap();
    for n in 0..MAX_TOPIC_INBOX as u32 {
        let passing = world.announce("t", address(100 + n)).unwrap();
        leave(&mut world, passing);
        cursor += events(&mut world, good, cursor).unwrap().len() as u64;
    }
    assert_eq!(events(&mut world, slow, 0), Err(Refusal::Gone));
    // It was told of that as of any other leaving.
    assert_eq!(cursor, 2 + 2 * MAX_TOPIC_INBOX as u64 + 1);
    assert_eq!(events(&mut world, good, cursor), Ok(vec![]));
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn topics_up_to_the_limit_and_past_it() {
    let mut world = World::new();
    for n in 0..MAX_TOPICS {
        world.announce(&n.to_string(), address(n as u32)).unwrap();
    }
    let past = address(MAX_TOPICS as u32);
    assert_eq!(world.announce("more", past), Err(Refusal::Full));
    assert!(world.announce("7", past).is_ok());
    world.pass(SILENCE);
    world.assert_empty();
}
