//! Slots, one rule at a time.

use super::*;

#[test]
fn a_third_is_refused_and_the_name_is_free_when_one_leaves() {
    let mut world = World::new();
    let a = world.claim("n", address(1)).unwrap();
    let b = world.claim("n", address(2)).unwrap();
    assert_eq!(world.claim("n", address(3)), Err(Refusal::Taken));
    world.send(a, "last").unwrap();
    world.leave(a);
    // Others may meet there at once, and have nothing to do with who is left.
    let c = world.claim("n", address(3)).unwrap();
    let d = world.claim("n", address(4)).unwrap();
    assert_eq!(world.claim("n", address(5)), Err(Refusal::Taken));
    world.send(c, "new").unwrap();
    assert_eq!(world.fetch(d, 0), Ok(vec![bytes("new")]));
    assert_eq!(world.send(b, "to nobody"), Err(Refusal::Gone));
    assert_eq!(world.fetch(b, 0), Ok(vec![bytes("last")]));
    assert_eq!(world.fetch(b, 1), Err(Refusal::Gone));
    assert_eq!(world.fetch(a, 0), Err(Refusal::Gone));
    for token in [a, b, c, d] {
        world.leave(token);
    }
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn a_slot_is_kept_for_its_lifetime_and_no_longer() {
    let mut world = World::new();
    let a = world.claim("n", address(1)).unwrap();
    let b = world.claim("n", address(2)).unwrap();
    let step = Duration::from_secs(20);
    let mut spent = Duration::ZERO;
    // However busy it is.
    while spent + step < SLOT_LIFETIME {
        world.pass(step);
        spent += step;
        assert_eq!(world.fetch(a, 0), Ok(vec![]), "{spent:?}");
        assert_eq!(world.fetch(b, 0), Ok(vec![]), "{spent:?}");
        assert_eq!(world.claim("n", address(3)), Err(Refusal::Taken));
    }
    world.pass(SLOT_LIFETIME - spent - Duration::from_millis(1));
    assert_eq!(world.fetch(a, 0), Ok(vec![]));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.fetch(a, 0), Err(Refusal::Gone));
    assert_eq!(world.fetch(b, 0), Err(Refusal::Gone));
    assert!(world.claim("n", address(3)).is_ok());
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn who_is_silent_has_left() {
    let mut world = World::new();
    let a = world.claim("n", address(1)).unwrap();
    let b = world.claim("n", address(2)).unwrap();
    world.pass(SILENCE - Duration::from_millis(1));
    assert_eq!(world.fetch(b, 0), Ok(vec![]));
    let waiting = {
        let Rendezvous { slots, ledger, .. } = &mut world.all;
        slots.fetch(b, 0, world.now, ledger)
    };
    let Ok(Fetched::Nothing(bell)) = waiting else {
        panic!("nothing was sent");
    };
    world.pass(Duration::from_millis(1));
    assert_eq!(world.fetch(a, 0), Err(Refusal::Gone));
    // The other was told, without asking.
    let mut told = Box::pin(bell.notified());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(told.as_mut().poll(&mut cx).is_ready());
    assert_eq!(world.fetch(b, 0), Err(Refusal::Gone));
    world.assert_empty();
}

#[test]
fn messages_and_bytes_of_a_seat_up_to_the_limits_and_past_them() {
    let mut world = World::new();
    let a = world.claim("n", address(1)).unwrap();
    for n in 0..MAX_SLOT_MESSAGES {
        assert_eq!(world.send(a, n.to_string()), Ok(()));
    }
    assert_eq!(world.send(a, "more"), Err(Refusal::Spent));
    let b = world.claim("n", address(2)).unwrap();
    let long = 16 << 10;
    assert_eq!(world.send(b, vec![0; long + 1]), Err(Refusal::TooLong));
    for _ in 0..MAX_SLOT_BYTES / long {
        assert_eq!(world.send(b, vec![0; long]), Ok(()));
    }
    assert_eq!(world.send(b, "x"), Err(Refusal::Spent));
    // As many at once as an answer holds; the rest after them.
    let first = world.fetch(a, 0).unwrap();
    assert_eq!(first.len(), MAX_FETCHED_BYTES / long);
    assert_eq!(world.fetch(a, first.len() as u64).unwrap().len(), 4);
    assert_eq!(world.fetch(b, 0).unwrap().len(), 80);
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn places_of_an_address_up_to_the_limit_and_past_it() {
    let mut world = World::new();
    let mut seats = Vec::new();
    for n in 0..MAX_OPEN_PER_ADDRESS {
        seats.push(world.claim(&format!("n{n}"), address(1)).unwrap());
        world.pass(CLAIM_EVERY / 2);
        let held: Vec<_> = seats.clone();
        for seat in held {
            world.fetch(seat, 0).unwrap();
        }
    }
    world.pass(CLAIM_EVERY * 4);
    assert_eq!(world.claim("more", address(1)), Err(Refusal::TooMany));
    assert_eq!(world.free(address(1), || 7), Err(Refusal::TooMany));
    assert!(world.announce("more", address(1)).is_err());
    // Nothing of what was refused stays.
    assert_eq!(world.all.slots.counts()[0], MAX_OPEN_PER_ADDRESS as usize);
    assert!(world.claim("more", address(2)).is_ok());
    world.leave(seats[0]);
    assert!(world.claim("again", address(1)).is_ok());
    world.pass(SILENCE);
    world.assert_empty();
}

#[test]
fn a_free_name_is_kept_for_who_asked_until_it_is_used() {
    let mut world = World::new();
    let mut numbers = [5, 5, 5, 6].into_iter();
    let first = world.free(address(1), || numbers.next().unwrap()).unwrap();
    let second = world.free(address(2), || numbers.next().unwrap()).unwrap();
    assert_eq!(
        (first.as_str(), second.as_str()),
        ("000000005", "000000006")
    );
    // Every draw is in use: no name, rather than one that is not free.
    assert_eq!(world.free(address(1), || 5), Err(Refusal::Full));
    // Used, it counts for who sits there and not for who asked.
    let a = world.claim(first.as_str(), address(3)).unwrap();
    world.claim(first.as_str(), address(4)).unwrap();
    assert_eq!(world.claim(first.as_str(), address(5)), Err(Refusal::Taken));
    world.pass(SILENCE - Duration::from_millis(1));
    world.fetch(a, 0).unwrap();
    assert_eq!(world.free(address(1), || 6), Err(Refusal::Full));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.free(address(1), || 6).unwrap(), second);
    world.pass(2 * SILENCE);
    world.assert_empty();
}

#[test]
fn names_are_drawn_from_a_space_of_more_than_two_to_the_twentieth() {
    let mut world = World::new();
    let largest = world.free(address(1), || 4_294_967_295).unwrap();
    assert_eq!(largest.as_str(), "294967295");
    let largest = world.free(address(1), || 999_999_999).unwrap();
    assert_eq!(largest.as_str(), "999999999");
}

#[test]
fn what_waits_is_bounded_for_an_address_and_for_all() {
    let mut world = World::new();
    let message = Bytes::from(vec![0; 16 << 10]);
    let fill = |world: &mut World, of: Address, slots: u32| -> (usize, Option<Refusal>) {
        let mut sent = 0;
        for n in 0..slots {
            let seat = world.claim(&format!("{of:?} {n}"), of).unwrap();
            for _ in 0..MAX_SLOT_BYTES / message.len() {
                match world.send(seat, message.clone()) {
                    Ok(()) => sent += 1,
                    Err(refusal) => return (sent, Some(refusal)),
                }
            }
        }
        (sent, None)
    };
    let (sent, refused) = fill(&mut world, address(1), 20);
    assert_eq!(refused, Some(Refusal::Full));
    assert!(sent * (16 << 10) <= MAX_WAITING_PER_ADDRESS && sent > 60);
    let mut all = sent;
    for other in 2..100 {
        all += fill(&mut world, address(other), 4).0;
    }
    // Half of all, for those who have not come.
    let cost = (16 << 10) + super::super::ledger::MESSAGE_COST;
    assert!(all * cost <= MAX_WAITING / 2);
    assert!((all + 1) * cost > MAX_WAITING / 2);
    // Two who are both there talk all the same.
    let a = world.claim("pair", address(200)).unwrap();
    assert_eq!(world.send(a, message), Err(Refusal::Full));
    let b = world.claim("pair", address(201)).unwrap();
    assert_eq!(world.send(a, "late"), Ok(()));
    assert_eq!(world.fetch(b, 0), Ok(vec![bytes("late")]));
    world.pass(SILENCE);
    world.assert_empty();
}
