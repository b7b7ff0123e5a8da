//! Rendezvous at the real relay: slots, topics and the routes of JavaScript clients, over HTTPS and
//! WebSocket, and what one address cannot do to the others.

#![allow(clippy::unwrap_used)] // a test

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore_core::link::{DialError, Link, LinkError, Side};
use flexstore_core::wire::signal::javascript::{MAX_CANDIDATES, MAX_SDP_BYTES, MAX_SIGNALS_BYTES};
use flexstore_core::wire::signal::{
    CURSOR_HEADER, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, SEAT_HEADER,
};
use flexstore_relay::signal::{
    CLAIMS_AT_ONCE, MAX_ANNOUNCERS_PER_ADDRESS, MAX_OPEN_PER_ADDRESS, MAX_SLOT_MESSAGES,
};
use flexstore_transports::signal::{free_name, join, topic};
use flexstore_transports::tls::Trust;
use futures_util::{SinkExt as _, StreamExt as _};
use support::caller::Caller;
use support::raw::{BINARY, Raw};
use support::relay::Relay;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

struct Place {
    relay: Relay,
    _data: TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with("")
    }

    fn with(config: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("relay.toml");
        std::fs::write(&file, config).unwrap();
        let more = ["--config", file.to_str().unwrap()];
        let relay = Relay::start(&data.path().join("store"), &more);
        Self { relay, _data: data }
    }

    fn by(&self, scheme: &str) -> String {
        format!("{scheme}://{}/flexstore", self.relay.address)
    }

    async fn join(&self, scheme: &str, slot: &str) -> Result<Link, DialError> {
        join(&self.by(scheme), slot, &Trust::new()).await
    }

    fn caller(&self, last: u8) -> Caller<'_> {
        Caller {
            relay: &self.relay.address,
            from: [127, 0, 0, last],
        }
    }
}

/// Whatever it is, it comes soon.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.unwrap()
}

async fn send(link: &mut Link, text: &str) {
    let frame = Bytes::copy_from_slice(text.as_bytes());
    soon(link.outgoing.send(frame)).await.unwrap();
}

async fn hear(link: &mut Link) -> String {
    let frame = soon(link.incoming.next()).await.unwrap().unwrap();
    String::from_utf8(frame.to_vec()).unwrap()
}

/// Whether the other side left, as far as this one is told.
async fn ends(link: &mut Link) -> bool {
    !matches!(soon(link.incoming.next()).await, Some(Ok(_)))
}

async fn converse(a: &mut Link, b: &mut Link) {
    for round in 0..5 {
        send(a, &format!("a{round}")).await;
        send(a, &format!("a{round}+")).await;
        assert_eq!(hear(b).await, format!("a{round}"));
        send(b, &format!("b{round}")).await;
        assert_eq!(hear(b).await, format!("a{round}+"));
        assert_eq!(hear(a).await, format!("b{round}"));
    }
}

#[tokio::test]
async fn two_meet_at_a_slot_by_any_way_in_both_orders() {
    let place = Place::new();
    for (first, second) in [
        ("ws", "ws"),
        ("http", "http"),
        ("ws", "http"),
        ("http", "ws"),
    ] {
        let slot = format!("{first} and {second}?");
        let mut a = place.join(first, &slot).await.unwrap();
        send(&mut a, "waits").await;
        send(&mut a, "in order").await;
        let mut b = place.join(second, &slot).await.unwrap();
        assert_eq!(hear(&mut b).await, "waits");
        assert_eq!(hear(&mut b).await, "in order");
        converse(&mut a, &mut b).await;
        converse(&mut b, &mut a).await;
        // What was said before leaving is heard, and the leaving after it.
        send(&mut b, "farewell").await;
        soon(b.outgoing.close()).await.unwrap();
        assert_eq!(hear(&mut a).await, "farewell");
        assert!(ends(&mut a).await);
        // The name is free again, and those who were there are not.
        let mut c = place.join(second, &slot).await.unwrap();
        let mut d = place.join(first, &slot).await.unwrap();
        converse(&mut c, &mut d).await;
        drop(c);
        assert!(ends(&mut d).await);
    }
}

#[tokio::test]
async fn a_third_is_refused_until_one_leaves() {
    let place = Place::new();
    for scheme in ["ws", "http"] {
        let mut a = place.join(scheme, "two").await.unwrap();
        let b = place.join("ws", "two").await.unwrap();
        for third in ["ws", "http"] {
            let refused = place.join(third, "two").await;
            assert!(matches!(refused.err(), Some(DialError::Refused(_))));
        }
        let reply = place.caller(1).post("/flexstore/slot/two", b"").await;
        assert_eq!(reply.status, 409);
        assert_eq!(
            reply.header("content-type").as_deref(),
            Some("application/problem+json")
        );
        assert!(reply.text().contains("urn:flexstore:problem:taken"));
        drop(b);
        assert!(ends(&mut a).await);
        let c = place.join("http", "two").await.unwrap();
        drop((a, c));
        // Left by a request that nobody waits for.
        sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn free_names_are_nobodys() {
    let place = Place::new();
    let mut names = Vec::new();
    for scheme in ["ws", "http", "ws", "http"] {
        let name = free_name(&place.by(scheme), &Trust::new()).await.unwrap();
        assert!(name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_digit()));
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4);
    let mut a = place.join("ws", &names[0]).await.unwrap();
    let mut b = place.join("http", &names[0]).await.unwrap();
    converse(&mut a, &mut b).await;
}

#[tokio::test]
async fn messages_up_to_the_limits_and_past_them() {
    let place = Place::new();
    let caller = place.caller(1);
    for scheme in ["ws", "http"] {
        let mut a = place.join(scheme, scheme).await.unwrap();
        let mut b = place.join("ws", scheme).await.unwrap();
        let long = Bytes::from(vec![7; MAX_MESSAGE_BYTES]);
        a.outgoing.send(long.clone()).await.unwrap();
        assert_eq!(soon(b.incoming.next()).await, Some(Ok(long)));
        let longer = Bytes::from(vec![7; MAX_MESSAGE_BYTES + 1]);
        assert_eq!(
            a.outgoing.send(longer).await,
            Err(LinkError::TooLong),
            "the client knows"
        );
        // The rest of what one seat may send, and one more.
        for n in 1..MAX_SLOT_MESSAGES {
            send(&mut a, &n.to_string()).await;
        }
        for n in 1..MAX_SLOT_MESSAGES {
            assert_eq!(hear(&mut b).await, n.to_string());
        }
        let _ = a.outgoing.send(Bytes::from_static(b"spent")).await;
        if scheme == "ws" {
            assert!(ends(&mut a).await && ends(&mut b).await);
        }
    }
    // A client that does not know.
    let seat = caller.post("/flexstore/slot/long", b"").await;
    let seat = format!("{SEAT_HEADER}: {}\r\n", seat.header(SEAT_HEADER).unwrap());
    for (len, status) in [(MAX_MESSAGE_BYTES, 204), (MAX_MESSAGE_BYTES + 1, 413)] {
        let body = vec![7; len];
        let reply = caller.ask("POST", "/flexstore/slot/long", &seat, &body);
        assert_eq!(reply.await.status, status);
    }
    let body = vec![7; MAX_MESSAGE_BYTES + 1];
    let reply = caller.post("/flexstore/slot/other", &body);
    assert_eq!(reply.await.status, 413);
    let mut raw = Raw::connect_to(&place.relay.address, "/flexstore/slot/raw");
    raw.send(BINARY, &vec![7; MAX_MESSAGE_BYTES + 1]).unwrap();
    tokio::task::spawn_blocking(move || raw.rest())
        .await
        .unwrap();
    assert_eq!(caller.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_repeated_message_counts_once_and_a_lost_answer_is_given_again() {
    let place = Place::new();
    let caller = place.caller(1);
    let path = "/flexstore/slot/again";
    let seat = |reply: support::caller::Reply| {
        assert_eq!(reply.status, 201);
        format!("{SEAT_HEADER}: {}\r\n", reply.header(SEAT_HEADER).unwrap())
    };
    let a = seat(caller.post(path, b"zero").await);
    let b = seat(caller.post(path, b"").await);
    for (number, status) in [(1, 204), (1, 204), (0, 204), (3, 400), (2, 204)] {
        let path = format!("{path}?number={number}");
        let body = format!("body {number}");
        let reply = caller.ask("POST", &path, &a, body.as_bytes()).await;
        assert_eq!(reply.status, status, "{number}");
    }
    let bodies = [
        &b"\0\0\0\x04zero"[..],
        b"\0\0\0\x06body 1",
        b"\0\0\0\x06body 2",
    ];
    for _ in 0..2 {
        let reply = caller.ask("GET", path, &b, b"").await;
        assert_eq!(reply.header(CURSOR_HEADER).as_deref(), Some("3"));
        assert_eq!(reply.body, bodies.concat());
    }
    let after = format!("{path}?cursor=2");
    let reply = caller.ask("GET", &after, &b, b"").await;
    assert_eq!(reply.body, bodies[2]);
    // What was fetched and left behind is gone, and what never was, never was.
    for cursor in ["0", "1", "4", "-1", "x", "99999999999999999999"] {
        let path = format!("{path}?cursor={cursor}");
        assert_eq!(
            caller.ask("GET", &path, &b, b"").await.status,
            400,
            "{cursor}"
        );
    }
    assert_eq!(caller.ask("DELETE", path, &a, b"").await.status, 204);
    let reply = caller
        .ask("GET", &format!("{path}?cursor=3"), &b, b"")
        .await;
    assert_eq!(reply.status, 410);
}

#[tokio::test]
async fn nobody_sits_on_another_ones_seat() {
    let place = Place::new();
    let caller = place.caller(1);
    caller.post("/flexstore/slot/mine", b"secret").await;
    let none = "0".repeat(32);
    let long = "f".repeat(5000);
    for token in [
        &none,
        "0",
        "",
        "ÿ",
        "+0000000000000000000000000000000",
        &long,
    ] {
        let seat = format!("{SEAT_HEADER}: {token}\r\n");
        for method in ["GET", "POST"] {
            let reply = caller.ask(method, "/flexstore/slot/mine", &seat, b"").await;
            assert_eq!(reply.status, 410, "{method} {token:?}");
        }
    }
    assert_eq!(caller.get("/flexstore/slot/mine").await.status, 400);
    assert_eq!(caller.get("/flexstore/slot").await.status, 405);
    assert_eq!(caller.get("/flexstore/topic").await.status, 404);
}

#[tokio::test]
async fn hostile_names() {
    let place = Place::new();
    let caller = place.caller(1);
    let longest = "n".repeat(MAX_NAME_BYTES);
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let names = [
        ".",
        "..",
        "%2e%2e",
        "%00",
        "%0d%0aset-cookie:x",
        "%ff",
        "%",
        "%2",
        "%zz",
        "",
        "a/b",
        "a//b",
        &long,
        "%c2%80",
    ];
    for place in ["slot", "topic", "signal/answer", "signal/offer"] {
        let body = if place.starts_with("signal") {
            offer("")
        } else {
            String::new()
        };
        for name in names {
            let path = format!("/flexstore/{place}/{name}");
            let status = caller.post(&path, body.as_bytes()).await.status;
            assert!([400, 404].contains(&status), "{path}: {status}");
        }
    }
    for fine in [
        &longest,
        "%c3%bc%20%2F%3F",
        "__proto__",
        "constructor",
        "..%2f..%2fetc",
    ] {
        let path = format!("/flexstore/slot/{fine}");
        assert_eq!(caller.post(&path, b"").await.status, 201, "{path}");
    }
    assert_eq!(caller.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn announcers_of_a_topic_get_a_link_to_each_other() {
    let place = Place::new();
    let trust = Trust::new();
    let mut topics = Vec::new();
    for scheme in ["ws", "http", "ws"] {
        topics.push(topic(&place.by(scheme), "tea", &trust).await.unwrap());
    }
    let elsewhere = topic(&place.by("ws"), "coffee", &trust).await.unwrap();
    let mut links = Vec::new();
    for topic in &mut topics {
        let mut others = Vec::new();
        for _ in 0..2 {
            others.push(soon(topic.next()).await.unwrap());
        }
        others.sort_by_key(|arrival| arrival.id);
        links.push(others);
    }
    let ids: Vec<_> = topics.iter().map(|topic| topic.id()).collect();
    for (own, others) in ids.iter().zip(&links) {
        let mut expected: Vec<_> = ids.iter().filter(|id| *id != own).copied().collect();
        expected.sort();
        let found: Vec<_> = others.iter().map(|arrival| arrival.id).collect();
        assert_eq!(found, expected);
        for arrival in others {
            let dials = arrival.link.side == Side::Dialled;
            assert_eq!(dials, *own > arrival.id);
        }
    }
    // Everybody tells everybody, and hears it from whom it is.
    for (own, others) in ids.iter().zip(&mut links) {
        for arrival in others {
            send(&mut arrival.link, &format!("{own} to {}", arrival.id)).await;
        }
    }
    for (own, others) in ids.iter().zip(&mut links) {
        for arrival in others {
            let heard = hear(&mut arrival.link).await;
            assert_eq!(heard, format!("{} to {own}", arrival.id));
        }
    }
    // One leaves: its links end at the others, and no other.
    let gone = ids[1];
    drop((topics.remove(1), links.remove(1)));
    for others in &mut links {
        let left = others
            .iter_mut()
            .find(|arrival| arrival.id == gone)
            .unwrap();
        assert!(ends(&mut left.link).await);
    }
    let mut rest: Vec<_> = links
        .into_iter()
        .map(|others| {
            others
                .into_iter()
                .find(|arrival| arrival.id != gone)
                .unwrap()
        })
        .collect();
    send(&mut rest[0].link, "still here").await;
    assert_eq!(hear(&mut rest[1].link).await, "still here");
    // Dropped here, it arrives again when the other speaks.
    drop(rest.remove(1));
    send(&mut rest[0].link, "again").await;
    let mut again = soon(topics[1].next()).await.unwrap();
    assert_eq!(hear(&mut again.link).await, "again");
    drop(elsewhere);
}

#[tokio::test]
async fn a_topic_takes_so_many_of_one_address() {
    let place = Place::new();
    let caller = place.caller(2);
    let path = "/flexstore/topic/full";
    for n in 0..=MAX_ANNOUNCERS_PER_ADDRESS {
        let expected = if n < MAX_ANNOUNCERS_PER_ADDRESS {
            201
        } else {
            429
        };
        assert_eq!(caller.post(path, b"").await.status, expected, "{n}");
    }
    assert_eq!(place.caller(3).post(path, b"").await.status, 201);
    let seat = place
        .caller(3)
        .post(path, b"")
        .await
        .header(SEAT_HEADER)
        .unwrap();
    let seat = format!("{SEAT_HEADER}: {seat}\r\n");
    let send = |len| {
        let (caller, seat) = (place.caller(3), seat.clone());
        async move { caller.ask("POST", path, &seat, &vec![0; len]).await.status }
    };
    // To nobody, as it happens; too long; not even addressed.
    assert_eq!(send(MAX_FRAME_BYTES).await, 404);
    assert_eq!(send(MAX_FRAME_BYTES + 1).await, 413);
    assert_eq!(send(15).await, 404);
}

fn offer(sdp: &str) -> String {
    format!(r#"[["offer",{{"type":"offer","sdp":"{sdp}"}}]]"#)
}

fn answer(sdp: &str) -> String {
    offer(sdp).replace("offer", "answer")
}

#[tokio::test]
async fn javascript_clients_meet_in_both_orders() {
    let place = Place::new();
    let caller = place.caller(1);
    for offer_first in [true, false] {
        let bring = async {
            if !offer_first {
                sleep(Duration::from_millis(300)).await;
            }
            let path = "/flexstore/signal/answer/meet";
            caller.post(path, offer("o").as_bytes()).await
        };
        let seek = async {
            if offer_first {
                sleep(Duration::from_millis(300)).await;
            }
            let path = "/flexstore/signal/offer/meet";
            let found = caller.get(path).await;
            // Only two: neither can another have the offer, nor bring one.
            assert_eq!(caller.get(path).await.status, 409);
            let brings = offer("x");
            let another = caller.post("/flexstore/signal/answer/meet", brings.as_bytes());
            assert_eq!(another.await.status, 409);
            (found, caller.post(path, answer("a").as_bytes()).await)
        };
        let (answered, (found, brought)) = soon(async { tokio::join!(bring, seek) }).await;
        assert_eq!((found.status, found.text()), (200, offer("o")));
        assert_eq!((brought.status, brought.text()), (200, "{}".to_owned()));
        assert_eq!((answered.status, answered.text()), (200, answer("a")));
        assert_eq!(answered.header("content-type").unwrap(), "application/json");
        // Forgotten, and not a slot's name.
        let brings = answer("b");
        let late = caller.post("/flexstore/signal/offer/meet", brings.as_bytes());
        assert_eq!(late.await.status, 404);
        let slot = caller.post("/flexstore/slot/meet", b"").await;
        assert_eq!(slot.status, 201);
    }
}

#[tokio::test]
async fn javascript_clients_wait_for_a_minute() {
    let place = Place::new();
    let caller = place.caller(1);
    let began = Instant::now();
    let brings = offer("o");
    let (alone, seeking) = tokio::join!(
        caller.post("/flexstore/signal/answer/alone", brings.as_bytes()),
        caller.get("/flexstore/signal/offer/nobody"),
    );
    assert_eq!((alone.status, seeking.status), (408, 408));
    let took = began.elapsed().as_secs();
    assert!((60..70).contains(&took), "{took} s");
}

#[tokio::test]
async fn a_javascript_client_that_goes_away_leaves_its_place() {
    let place = Place::new();
    let caller = place.caller(1);
    let path = "/flexstore/signal/offer/reload";
    assert!(
        timeout(Duration::from_millis(300), caller.get(path))
            .await
            .is_err()
    );
    sleep(Duration::from_millis(300)).await;
    let brings = offer("o");
    let bring = caller.post("/flexstore/signal/answer/reload", brings.as_bytes());
    let seek = async {
        let found = caller.get(path).await;
        caller.post(path, answer("a").as_bytes()).await;
        found
    };
    let (answered, found) = soon(async { tokio::join!(bring, seek) }).await;
    assert_eq!((answered.status, found.status), (200, 200));
}

#[tokio::test]
async fn javascript_signals_that_are_none() {
    let place = Place::new();
    let caller = place.caller(1);
    let candidates = |count| {
        let candidate = r#",["icecandidate",{"candidate":"c"}]"#.repeat(count);
        offer("o").replace("]]", &format!("]{candidate}]"))
    };
    let bad = [
        "".to_owned(),
        "[]".to_owned(),
        "nonsense".to_owned(),
        "[".repeat(60_000),
        answer("a"),
        offer(&"s".repeat(MAX_SDP_BYTES + 1)),
        candidates(MAX_CANDIDATES + 1),
        offer("o").replace("offer", "fetch"),
    ];
    for text in &bad {
        let reply = caller
            .post("/flexstore/signal/answer/x", text.as_bytes())
            .await;
        assert_eq!(reply.status, 400, "{text:.80}");
        let text = text.replace("offer", "answer");
        let swapped = if text == answer("a") {
            offer("a")
        } else {
            text
        };
        let reply = caller
            .post("/flexstore/signal/offer/x", swapped.as_bytes())
            .await;
        assert_eq!(reply.status, 400, "{swapped:.80}");
    }
    let long = format!("{}{}", offer("o"), " ".repeat(MAX_SIGNALS_BYTES));
    let reply = caller
        .post("/flexstore/signal/answer/x", long.as_bytes())
        .await;
    assert_eq!(reply.status, 413);
    // The most that there may be is taken in, and waits.
    let most = candidates(MAX_CANDIDATES);
    let waits = caller.post("/flexstore/signal/answer/x", most.as_bytes());
    assert!(timeout(Duration::from_millis(300), waits).await.is_err());
    assert_eq!(caller.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_flood_from_one_address_is_not_felt_at_another() {
    let place = Place::new();
    let (bad, good) = (place.caller(2), place.caller(3));
    let flood = async {
        let began = Instant::now();
        let (mut taken, mut asked) = (0, 0);
        while began.elapsed() < Duration::from_secs(3) {
            let paths: Vec<_> = (0..20)
                .map(|n| format!("/flexstore/slot/{asked}-{n}"))
                .collect();
            let claims = paths.iter().map(|path| bad.post(path, b""));
            for reply in futures_util::future::join_all(claims).await {
                assert!([201, 429].contains(&reply.status));
                taken += u32::from(reply.status == 201);
                asked += 1;
            }
        }
        (taken, asked)
    };
    let honest = async {
        let (mut met, mut slowest) = (0, Duration::ZERO);
        for n in 0..15 {
            let path = format!("/flexstore/slot/honest {n}").replace(' ', "%20");
            met += u32::from(good.post(&path, b"hello").await.status == 201);
            met += u32::from(good.post(&path, b"").await.status == 201);
            let began = Instant::now();
            assert_eq!(good.get("/healthz").await.status, 200);
            slowest = slowest.max(began.elapsed());
            sleep(Duration::from_millis(100)).await;
        }
        (met, slowest)
    };
    let ((taken, asked), (met, slowest)) = tokio::join!(flood, honest);
    assert_eq!(met, 30, "honest claims that were granted");
    assert!(taken <= MAX_OPEN_PER_ADDRESS, "{taken} of {asked}");
    assert!(asked > 10 * taken, "{taken} of {asked}");
    assert!(
        slowest < Duration::from_millis(100),
        "healthz took {slowest:?}"
    );
    println!("the flood got {taken} of {asked} claims; healthz took at most {slowest:?}");
}

#[tokio::test]
async fn loopback_is_exempt_only_by_configuration() {
    let many = 2 * CLAIMS_AT_ONCE;
    for (config, expected) in [("", false), ("signal.exempt_loopback = true", true)] {
        let place = Place::with(config);
        let mut refused = 0;
        for n in 0..many {
            let path = format!("/flexstore/slot/{n}");
            refused += u32::from(place.caller(1).post(&path, b"").await.status == 429);
        }
        assert_eq!(refused == 0, expected, "{config}: {refused} refused");
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_limits_of_their_own() {
    let place = Place::with("trusted_proxies = ['127.0.0.2']");
    let claim = async |from: u8, forwarded: &str, n: u32| {
        let path = format!("/flexstore/slot/{from} {forwarded} {n}").replace(' ', "%20");
        let header = format!("x-forwarded-for: {forwarded}\r\n");
        place
            .caller(from)
            .ask("POST", &path, &header, b"")
            .await
            .status
    };
    let mut refused = [0; 2];
    for n in 0..2 * CLAIMS_AT_ONCE {
        refused[0] += u32::from(claim(2, &format!("9.9.9.9, 10.0.0.{n}"), n).await == 429);
        // Who is not trusted is not believed.
        refused[1] += u32::from(claim(3, &format!("10.0.1.{n}"), n).await == 429);
    }
    assert_eq!(refused[0], 0);
    assert!(refused[1] > CLAIMS_AT_ONCE / 2, "{refused:?}");
}

#[tokio::test]
async fn a_service_that_is_off_is_not_there() {
    let place = Place::with("services = ['hub']");
    let caller = place.caller(1);
    for path in [
        "slot",
        "slot/x",
        "topic/x",
        "signal/answer/x",
        "signal/offer/x",
    ] {
        let reply = caller.post(&format!("/flexstore/{path}"), b"").await;
        assert_eq!(reply.status, 404, "{path}");
    }
    assert_eq!(caller.get("/flexstore").await.status, 426);
    let place = Place::with("services = ['signal']");
    assert_eq!(place.caller(1).get("/flexstore").await.status, 404);
    assert_eq!(
        place.caller(1).post("/flexstore/slot", b"").await.status,
        201
    );
}
