//! Floods, in virtual time: what is left for the honest.

use super::*;

/// Claims of an attacker in a second.
const RATE: u32 = 1000;
/// A pairing of honest peers begins so often.
const PAIR_EVERY: Duration = Duration::from_millis(500);
/// The second of a pair comes so much later: somebody has typed a name.
const TYPING: Duration = Duration::from_secs(20);

/// A generator of numbers that need only look random (Knuth's, TAOCP 3.3.4).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

struct Pair {
    name: Name,
    seat: Token,
    due: Instant,
    heard: Instant,
}

/// Lets an attacker do what it likes 1,000 times a second, while honest pairs ask for a free name,
/// sit down, send something, and meet after a while. Returns how many tried and how many met.
fn pairings(
    seconds: u32,
    mut attack: impl FnMut(&mut World, &mut Numbers, u32),
) -> (World, u32, u32) {
    let mut world = World::new();
    let mut numbers = Numbers(1);
    let (mut tried, mut met) = (0, 0);
    let mut pairs: Vec<Pair> = Vec::new();
    let start = world.now;
    for claim in 0..seconds * RATE {
        attack(&mut world, &mut numbers, claim);
        world.pass(Duration::from_secs(1) / RATE);
        if (world.now - start).as_millis() >= u128::from(tried) * PAIR_EVERY.as_millis() {
            tried += 1;
            let of = address(0x0a00_0000 + tried);
            let seat = world.free(of, || numbers.next()).and_then(|name| {
                let seat = world.claim(name.as_str(), of)?;
                world.send(seat, "offer")?;
                Ok((name, seat))
            });
            if let Ok((name, seat)) = seat {
                let (due, heard) = (world.now + TYPING, world.now);
                pairs.push(Pair {
                    name,
                    seat,
                    due,
                    heard,
                });
            }
        }
        for pair in &mut pairs {
            if pair.heard + SILENCE / 3 <= world.now {
                pair.heard = world.now;
                let _ = world.fetch(pair.seat, 0);
            }
        }
        while pairs.first().is_some_and(|pair| pair.due <= world.now) {
            let pair = pairs.remove(0);
            let other = address(0x0b00_0000 + tried);
            let done = world.claim(pair.name.as_str(), other).and_then(|seat| {
                world.send(seat, "answer")?;
                let offered = world.fetch(seat, 0)? == [bytes("offer")];
                let answered = world.fetch(pair.seat, 0)? == [bytes("answer")];
                Ok(offered && answered)
            });
            met += u32::from(done == Ok(true));
        }
    }
    (world, tried - pairs.len() as u32, met)
}

fn assert_most_met(tried: u32, met: u32) {
    println!("{met} of {tried} honest pairs met");
    assert!(tried > 100 && met * 100 > tried * 99, "{met} of {tried}");
}

/// Takes the seat of whoever it may meet, or one of its own, and says something long.
fn grab(world: &mut World, numbers: &mut Numbers, of: Address) {
    let name = format!("{:09}", numbers.next() % 1_000_000_000);
    if let Ok(seat) = world.claim(&name, of) {
        let _ = world.send(seat, vec![0; 16 << 10]);
    }
}

#[test]
fn one_address_claims_whatever_it_can() {
    let (mut world, tried, met) = pairings(150, |world, numbers, _| {
        grab(world, numbers, address(1));
    });
    assert_most_met(tried, met);
    assert!(world.all.slots.counts()[0] < 300);
    world.pass(SLOT_LIFETIME);
    world.assert_empty();
}

#[test]
fn thirty_addresses_claim_whatever_they_can() {
    let (_, tried, met) = pairings(150, |world, numbers, claim| {
        grab(world, numbers, address(1 + claim % 30));
    });
    assert_most_met(tried, met);
}

#[test]
fn every_claim_comes_from_another_network_and_is_held() {
    let mut held: Vec<(Token, Instant)> = Vec::new();
    let (world, tried, met) = pairings(150, |world, numbers, claim| {
        let network = u128::from(claim) << 64 | 0x2001 << 112;
        let of = Address::new(IpAddr::V6(Ipv6Addr::from_bits(network)), false);
        let name = format!("{:09}", numbers.next() % 1_000_000_000);
        if let Ok(seat) = world.claim(&name, of) {
            held.push((seat, world.now));
        }
        // Each is kept alive, a few at a time.
        for _ in 0..8 {
            let any = numbers.next() as usize % held.len();
            let (seat, heard) = &mut held[any];
            if *heard + SILENCE / 2 < world.now {
                *heard = world.now;
                let _ = world.fetch(*seat, 0);
            }
        }
    });
    assert_most_met(tried, met);
    assert!(world.all.slots.counts()[0] > 60_000);
}

#[test]
fn more_than_two_to_the_twentieth_slots_are_open_at_once() {
    let mut world = World::new();
    for n in 0..MAX_SLOTS as u32 {
        world.claim(&n.to_string(), address(n / 32)).unwrap();
    }
    const { assert!(MAX_SLOTS >= 1 << 20) };
    assert_eq!(world.all.slots.counts()[0], MAX_SLOTS);
    let past = address(u32::MAX);
    assert_eq!(world.claim("more", past), Err(Refusal::Full));
    assert_eq!(world.free(past, || 999_999_999), Err(Refusal::Full));
    // One that is open is joined all the same.
    assert!(world.claim("77", past).is_ok());
    world.pass(SILENCE);
    world.assert_empty();
}
