//! Dialling: what a service string leads to.

use flexstore_core::link::{DialError, Dialer as _};
use flexstore_transports::Transports;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[tokio::test]
async fn services_that_no_transport_knows() {
    for service in [
        "",
        "ws",
        "ws:",
        "ws://",
        "http://",
        "rendezvous:ws://127.0.0.1/flexstore",
        "rendezvous:ws://127.0.0.1/flexstore?name=tea",
        "rendezvous:ws://127.0.0.1/flexstore?name=tea#c2hvcnQ",
        "gopher://127.0.0.1/",
        "../../x",
    ] {
        let dialed = Transports::new().dial(service).await;
        assert_eq!(dialed.err(), Some(DialError::UnknownService), "{service}");
    }
}

#[tokio::test]
async fn nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = format!("ws://{}/flexstore", listener.local_addr().unwrap());
    drop(listener);
    let dialed = Transports::new().dial(&service).await;
    assert!(matches!(dialed.err(), Some(DialError::Unreachable(_))));
}

#[tokio::test]
async fn something_else_answers() {
    let answers = [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", false),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            true,
        ),
    ];
    for (answer, again) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("ws://{}/flexstore", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = Transports::new().dial(&service).await.err();
        let unreachable = matches!(error, Some(DialError::Unreachable(_)));
        assert_eq!(unreachable, again, "{answer}: {error:?}");
        server.await.unwrap();
    }
}
