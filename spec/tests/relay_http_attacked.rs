//! Requests that no honest client makes, to the real relay: nothing is reached that should not be,
//! no request hides in another, and nobody is waited for.

#![allow(clippy::panic, clippy::unwrap_used)] // a test

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use support::http::{Answer, ask};
use support::relay::Relay;

/// Everything below a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.to_str().unwrap().to_owned());
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found
}

/// More than 5,000 paths that go up, hide, or are no text.
fn corpus() -> Vec<String> {
    let steps = [
        "..",
        ".",
        "%2e%2e",
        "%2E%2e",
        ".%2e",
        "%252e%252e",
        "..%2f",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "....",
        "..;",
        "%00",
        "a%00",
        "%0a",
        "%0d%0a",
        "%c0%ae%c0%ae",
        "%c0%af",
        "%ff",
        "%",
        "%2",
        "%zz",
        "%u002e",
        "CON",
        "NUL",
        "aux.txt",
        "COM1",
        "C%3a",
        "~",
        "%7e",
        "%ef%bc%8e",
        "",
        "%e2%80%ae",
        "a%2fb",
        "%2f",
        "%2fetc%2fpasswd",
        "secret",
        "x".repeat(300).as_str(),
    ]
    .map(str::to_owned);
    let ends = [
        "etc/passwd",
        "secret",
        "secret%00.txt",
        "%2e%2e%2fsecret",
        "",
    ];
    let starts = [
        "/",
        "/flexstore/",
        "/flexstore/MutableCollection/",
        "/flexstore/MutableCollection/c/",
        "/flexstore/ImmutableCollection/c/",
        "/flexstore/VersionedCollection/",
        "//",
    ];
    let mut corpus = Vec::new();
    for start in starts {
        for step in &steps {
            for times in [1, 2, 3, 8] {
                for end in ends {
                    corpus.push(format!("{start}{}{end}", format!("{step}/").repeat(times)));
                }
            }
        }
    }
    corpus
}

/// Asks for many paths, on connections that are kept as long as the relay keeps them.
fn statuses(relay: &Relay, method: &str, paths: &[String]) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut kept: Option<BufReader<TcpStream>> = None;
    for path in paths {
        let mut stream = kept.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(&relay.address).unwrap();
            let timeout = Some(Duration::from_secs(20));
            stream.set_read_timeout(timeout).unwrap();
            BufReader::new(stream)
        });
        let request = format!("{method} {path} HTTP/1.1\r\nhost: r\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut head, mut line) = (String::new(), String::new());
        while stream.read_line(&mut line).unwrap() > 2 {
            head.push_str(&line.to_ascii_lowercase());
            line.clear();
        }
        statuses.push(head[9..12].parse().unwrap());
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        assert!(
            !String::from_utf8_lossy(&body).contains("the secret"),
            "{path}"
        );
        if !head.contains("connection: close") {
            kept = Some(stream);
        }
    }
    statuses
}

#[test]
fn no_path_leads_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "the secret").unwrap();
    let data = folder.path().join("data");
    let trace = folder.path().join("trace");
    let relay = Relay::start_traced(&data, &trace);
    let before = files(folder.path());
    let corpus = corpus();
    assert!(corpus.len() > 5000);
    std::fs::write(folder.path().join("trace.mark"), "").unwrap();
    let traced = std::fs::metadata(&trace).unwrap().len() as usize;
    for method in ["GET", "PUT"] {
        let statuses = statuses(&relay, method, &corpus);
        let known = |status: &u16| matches!(status, 400 | 404 | 405 | 422);
        let strange = statuses
            .iter()
            .zip(&corpus)
            .find(|(status, _)| !known(status));
        assert_eq!(strange, None, "{method}");
    }
    assert_eq!(ask(&relay, "GET", "/healthz", &[], b"").status, 200);
    let after = std::fs::read_to_string(&trace).unwrap();
    // The store's own files only, and what the runtime looks up about the machine.
    let strange = after[traced..].lines().find(|line| {
        let named = line.split('"').nth(1).unwrap_or_default();
        !named.is_empty()
            && !named.starts_with(data.to_str().unwrap())
            && !["/proc/", "/sys/", "/dev/null"]
                .iter()
                .any(|fine| named.starts_with(fine))
    });
    assert_eq!(strange, None);
    let mut outside = files(folder.path());
    outside.retain(|path| !path.starts_with(data.to_str().unwrap()) && !path.contains("trace"));
    let mut known = before;
    known.retain(|path| !path.starts_with(data.to_str().unwrap()) && !path.contains("trace"));
    assert_eq!(outside, known);
}

/// The bytes that the relay answers to a request with another one behind it, until it closes.
fn answers(relay: &Relay, request: &str) -> String {
    let mut stream = TcpStream::connect(&relay.address).unwrap();
    let timeout = Some(Duration::from_secs(8));
    stream.set_read_timeout(timeout).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed after {request:?}: {error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn no_request_hides_in_another() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let heads = [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "transfer-encoding : chunked\r\n",
        " transfer-encoding: chunked\r\n",
        "x: y\r\n transfer-encoding: chunked\r\n",
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 4\r\n",
        "content-length: 4, 5\r\n",
        "content-length: +4\r\n",
        "content-length: -4\r\n",
        "content-length: 0x4\r\n",
        "content-length: 4\r\n 0\r\n",
        "content-length : 4\r\n",
        "content-length:\r\n",
        "content-length: 99999999999999999999\r\n",
        "host: other\r\n",
        "x\0y: z\r\n",
        "x: y\0z\r\n",
        "no colon\r\n",
    ];
    let hidden = "0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: r\r\n\r\n";
    for head in heads {
        let path = "/flexstore/MutableCollection/c/t";
        let request = format!("PUT {path} HTTP/1.1\r\nhost: r\r\n{head}\r\n{hidden}");
        let all = answers(&relay, &request);
        let refused = ["400", "411"]
            .iter()
            .any(|status| all.get(9..12) == Some(status));
        assert!(refused, "{head:?}: {all}");
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{head:?}: {all}");
    }
    for request in [
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET /healthz HTTP/2.0\r\nhost: r\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n",
        "GET /health z HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n",
    ] {
        let all = answers(&relay, request);
        assert!(!all.contains("\r\n\r\nok"), "{request:?}: {all}");
    }
    assert_eq!(ask(&relay, "GET", "/healthz", &[], b"").status, 200);
}

/// Sends a byte on every connection now and then, until the relay has closed all of them; how long
/// that took, and how long an honest client waited at most.
fn trickle(relay: &Relay, mut slow: Vec<TcpStream>, healthy: impl Fn(&Relay)) -> Duration {
    let start = Instant::now();
    let mut most = Duration::ZERO;
    for stream in &slow {
        stream.set_nonblocking(true).unwrap();
    }
    while !slow.is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(15),
            "{} left",
            slow.len()
        );
        std::thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        healthy(relay);
        most = most.max(asked.elapsed());
        slow.retain_mut(|stream| {
            let _ = stream.write(b"a");
            let mut buffer = [0; 512];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
    }
    most
}

#[test]
fn bodies_that_trickle_are_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let connect = |number: usize| {
        let path = [
            "/flexstore/MutableCollection/c/t",
            "/flexstore/link",
            "/flexstore",
        ][number % 3];
        let method = ["PUT", "POST", "GET"][number % 3];
        let mut stream = TcpStream::connect(&relay.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: r\r\ncontent-length: 100000\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        if method != "GET" {
            stream.write_all(b"\r\n").unwrap();
        }
        stream
    };
    let most = trickle(&relay, (0..300).map(connect).collect(), |relay| {
        assert_eq!(ask(relay, "GET", "/healthz", &[], b"").status, 200);
    });
    println!("an honest client waited {most:?} at most");
    assert!(most < Duration::from_secs(1));
}

#[test]
fn tls_handshakes_that_trickle_are_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::configured(folder.path(), "tls = { self_signed = ['localhost'] }").unwrap();
    let connect = |number: usize| {
        let mut stream = TcpStream::connect(&relay.address).unwrap();
        // The head of a handshake record of 16 KiB.
        let hello = [0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xf0, 3, 3];
        stream.write_all(&hello[..number % hello.len()]).unwrap();
        stream
    };
    trickle(&relay, (0..200).map(connect).collect(), |_| {});
    // Whoever speaks no TLS is not answered in the clear.
    let plain = relay.ask("GET /healthz HTTP/1.1\r\nhost: r\r\n\r\n");
    assert!(!plain.contains("HTTP/"), "{plain}");
}

#[test]
fn a_connection_is_kept_for_so_many_requests_and_so_long() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let mut stream = TcpStream::connect(&relay.address).unwrap();
    let request = "GET /healthz HTTP/1.1\r\nhost: r\r\n\r\n";
    let most = 1000;
    stream
        .write_all(request.repeat(most + 10).as_bytes())
        .unwrap();
    let mut all = Vec::new();
    // What was asked beyond may be answered with a reset.
    let _ = stream.read_to_end(&mut all);
    let all = String::from_utf8(all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200").count(), most);
    assert_eq!(all.matches("connection: close").count(), 1);

    let start = Instant::now();
    let mut stream = TcpStream::connect(&relay.address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert_eq!(Answer::parse(&all).status, 200);
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn pages_are_let_in_where_they_are_asked_in() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::configured(folder.path(), "origins = ['https://app.example']").unwrap();
    let path = "/flexstore/MutableCollection/c/t";
    let with = |method, origin| {
        let asks = ("access-control-request-method", "PUT");
        ask(&relay, method, path, &[("origin", origin), asks], b"")
    };
    assert_eq!(with("GET", "https://evil.example").problem(403), "origin");
    assert_eq!(
        with("OPTIONS", "https://evil.example").problem(403),
        "origin"
    );
    let allowed = Some("https://app.example".to_owned());
    let answer = with("GET", "https://app.example");
    assert_eq!(answer.problem(404), "not-found");
    assert_eq!(answer.header("access-control-allow-origin"), allowed);
    let answer = with("OPTIONS", "https://app.example");
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), allowed);
    assert!(
        answer
            .header("access-control-allow-methods")
            .unwrap()
            .contains("PUT")
    );
}
