//! JavaScript clients.

use tokio::sync::oneshot::error::TryRecvError;

use super::super::javascript::Arriving;
use super::*;

fn offer(world: &mut World, of: u32, text: &str) -> Result<Arriving, Refusal> {
    let Rendezvous {
        meetings, ledger, ..
    } = &mut world.all;
    meetings.offer(name("n"), address(of), bytes(text), world.now, ledger)
}

fn seek(world: &mut World, of: u32) -> Result<Arriving, Refusal> {
    let Rendezvous {
        meetings, ledger, ..
    } = &mut world.all;
    meetings.seek(name("n"), address(of), world.now, ledger)
}

fn answer(world: &mut World, of: u32, text: &str) -> Result<(), Refusal> {
    let Rendezvous {
        meetings, ledger, ..
    } = &mut world.all;
    meetings.answer(&name("n"), address(of), bytes(text), world.now, ledger)
}

#[test]
fn either_may_come_first() {
    let mut world = World::new();
    for offer_first in [true, false] {
        let (mut offering, mut seeking);
        if offer_first {
            offering = offer(&mut world, 1, "offer").unwrap();
            world.pass(Duration::from_secs(59));
            seeking = seek(&mut world, 2).unwrap();
        } else {
            seeking = seek(&mut world, 2).unwrap();
            world.pass(Duration::from_secs(59));
            assert_eq!(seeking.try_recv(), Err(TryRecvError::Empty));
            offering = offer(&mut world, 1, "offer").unwrap();
        }
        assert_eq!(seeking.try_recv(), Ok(bytes("offer")));
        assert_eq!(offering.try_recv(), Err(TryRecvError::Empty));
        answer(&mut world, 2, "answer").unwrap();
        assert_eq!(offering.try_recv(), Ok(bytes("answer")));
        assert_eq!(answer(&mut world, 2, "answer"), Err(Refusal::Nobody));
    }
    world.pass(JAVASCRIPT_LIFETIME);
    world.assert_empty();
}

#[test]
fn only_two_and_only_for_a_minute() {
    let mut world = World::new();
    let mut offering = offer(&mut world, 1, "one").unwrap();
    assert!(matches!(offer(&mut world, 3, "two"), Err(Refusal::Taken)));
    let mut seeking = seek(&mut world, 2).unwrap();
    assert!(matches!(seek(&mut world, 3), Err(Refusal::Taken)));
    assert_eq!(seeking.try_recv(), Ok(bytes("one")));
    world.pass(JAVASCRIPT_LIFETIME - Duration::from_millis(1));
    assert_eq!(offering.try_recv(), Err(TryRecvError::Empty));
    world.pass(Duration::from_millis(1));
    assert_eq!(offering.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(answer(&mut world, 2, "late"), Err(Refusal::Nobody));
    let mut seeking = seek(&mut world, 2).unwrap();
    assert!(matches!(seek(&mut world, 3), Err(Refusal::Taken)));
    world.pass(JAVASCRIPT_LIFETIME);
    assert_eq!(seeking.try_recv(), Err(TryRecvError::Closed));
    world.assert_empty();
}

#[test]
fn who_does_not_wait_any_more_is_not_there() {
    let mut world = World::new();
    drop(offer(&mut world, 1, "one").unwrap());
    let mut seeking = seek(&mut world, 2).unwrap();
    assert_eq!(seeking.try_recv(), Err(TryRecvError::Empty));
    drop(seeking);
    let mut offering = offer(&mut world, 1, "two").unwrap();
    // It was not given to who had gone.
    let mut seeking = seek(&mut world, 2).unwrap();
    assert_eq!(seeking.try_recv(), Ok(bytes("two")));
    answer(&mut world, 2, "answer").unwrap();
    assert_eq!(offering.try_recv(), Ok(bytes("answer")));
    world.pass(JAVASCRIPT_LIFETIME);
    world.assert_empty();
}
