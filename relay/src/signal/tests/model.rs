//! Whatever is done at a few slots: never more than two seats, every message in order and once,
//! and in the end nothing is left.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Claim {
        slot: u8,
        of: u8,
    },
    Free {
        of: u8,
        number: u32,
    },
    Send {
        who: u8,
        len: u16,
    },
    /// With the cursor of before, as who lost an answer does.
    Fetch {
        who: u8,
        again: bool,
    },
    Leave {
        who: u8,
    },
    Pass {
        seconds: u16,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_u8, 0..4_u8).prop_map(|(slot, of)| Act::Claim { slot, of }),
        1 => (0..4_u8, any::<u32>()).prop_map(|(of, number)| Act::Free { of, number }),
        8 => (any::<u8>(), 0..20_000_u16).prop_map(|(who, len)| Act::Send { who, len }),
        8 => (any::<u8>(), any::<bool>()).prop_map(|(who, again)| Act::Fetch { who, again }),
        1 => any::<u8>().prop_map(|who| Act::Leave { who }),
        2 => (0..50_u16).prop_map(|seconds| Act::Pass { seconds }),
    ]
}

/// A seat, as its client sees it.
struct Client {
    slot: u8,
    token: Token,
    claimed: Instant,
    cursor: u64,
    /// Of messages that came, the sender and number.
    heard: Vec<(u128, u64)>,
    sent: u64,
    alive: bool,
}

/// A message tells who sent it, and its number.
fn message(of: Token, number: u64, len: u16) -> Bytes {
    let mut bytes = of.0.to_be_bytes().to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.resize(bytes.len().max(len.into()), 0);
    bytes.into()
}

fn read(message: &Bytes) -> (u128, u64) {
    let (of, rest) = message.split_first_chunk().unwrap();
    let (number, _) = rest.split_first_chunk().unwrap();
    (u128::from_be_bytes(*of), u64::from_be_bytes(*number))
}

fn pick(clients: &mut [Client], who: u8) -> Option<&mut Client> {
    let count = clients.len().max(1);
    clients.get_mut(usize::from(who) % count)
}

fn run(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let mut clients: Vec<Client> = Vec::new();
    for act in acts {
        match act {
            Act::Claim { slot, of } => {
                let claimed = world.claim(&slot.to_string(), address(of.into()));
                if let Ok(token) = claimed {
                    clients.push(Client {
                        slot,
                        token,
                        claimed: world.now,
                        cursor: 0,
                        heard: Vec::new(),
                        sent: 0,
                        alive: true,
                    });
                }
            }
            Act::Free { of, number } => drop(world.free(address(of.into()), || number)),
            Act::Send { who, len } => {
                let Some(client) = pick(&mut clients, who) else {
                    continue;
                };
                let message = message(client.token, client.sent, len);
                if world.send(client.token, message).is_ok() {
                    client.sent += 1;
                }
            }
            Act::Fetch { who, again } => {
                let Some(client) = pick(&mut clients, who) else {
                    continue;
                };
                match world.fetch(client.token, client.cursor) {
                    Ok(messages) if !again => {
                        client.cursor += messages.len() as u64;
                        client.heard.extend(messages.iter().map(read));
                    }
                    Ok(_) => {}
                    Err(refusal) => {
                        prop_assert_eq!(refusal, Refusal::Gone);
                        client.alive = false;
                    }
                }
            }
            Act::Leave { who } => {
                if let Some(client) = pick(&mut clients, who) {
                    world.leave(client.token);
                    client.alive = false;
                }
            }
            Act::Pass { seconds } => world.pass(Duration::from_secs(seconds.into())),
        }
        check(&world, &clients)?;
    }
    world.pass(SLOT_LIFETIME);
    world.assert_empty();
    Ok(())
}

fn check(world: &World, clients: &[Client]) -> Result<(), TestCaseError> {
    let [open, names, seats, timers] = world.all.slots.counts();
    prop_assert!(seats <= 2 * open && names <= open && timers >= open);
    prop_assert!(world.all.ledger.waiting() <= MAX_WAITING);
    let mut talks: HashMap<u128, u128> = HashMap::new();
    for client in clients {
        let late = world.now >= client.claimed + SLOT_LIFETIME;
        prop_assert!(!late || !client.alive || !world.all.slots.knows(client.token));
        // In order, each once, from the first on, and of one other at the same name.
        for (place, (of, number)) in client.heard.iter().enumerate() {
            prop_assert_eq!(*number, place as u64);
            prop_assert_eq!(*of, client.heard[0].0);
        }
        if let Some((of, _)) = client.heard.first() {
            let other = clients.iter().find(|other| other.token.0 == *of).unwrap();
            prop_assert_eq!(other.slot, client.slot);
            prop_assert!(client.heard.len() as u64 <= other.sent);
            // Nobody's messages come to two.
            let before = talks.insert(*of, client.token.0);
            prop_assert!(before.is_none());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_at_most_and_all_in_order_once(acts in prop::collection::vec(act(), 1..150)) {
        run(acts)?;
    }
}
