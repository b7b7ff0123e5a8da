//! Sends what was written, in several requests at a time, and says what was read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flexstore_core::link::LinkError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::super::{
    AT_HEADER, LINGER, MAX_POST_BYTES, MAX_POSTS, MAX_UNSEEN_BYTES, Over, RESUME_TIME,
    ROOM_TIMEOUT, SEEN_HEADER,
};
use super::shared::Shared;

/// How long a request may take: until there is room, and the way there and back.
const POST_TIMEOUT: Duration = Duration::from_secs(ROOM_TIMEOUT.as_secs() + 22);
/// Before a request that failed is sent again; twice as long each time.
const PAUSE: Duration = Duration::from_millis(50);

/// The way was too slow, or somebody on it has too much to do.
const MAY_PASS: [StatusCode; 2] = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];

/// What goes into the next request.
struct Post {
    at: u64,
    seen: u64,
    body: Bytes,
}

/// Starts sending. The task ends with the link.
pub(super) fn start(shared: Arc<Shared>, heartbeat: Duration) {
    tokio::spawn(async move {
        let closed = run(&shared, heartbeat).await;
        // Where the server ended it, it knows.
        if closed {
            let goodbye = shared.request(Method::DELETE).send();
            let _ = timeout(LINGER, goodbye).await;
            shared.end(Over::Closed);
        }
    });
}

/// Sends until the link is over (`false`), or everything is sent and no more will come (`true`).
async fn run(shared: &Shared, heartbeat: Duration) -> bool {
    let mut clock = interval_at(Instant::now() + heartbeat, heartbeat);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut posts = FuturesUnordered::new();
    let (mut at, mut quiet) = (0, false);
    loop {
        while posts.len() < MAX_POSTS {
            let Some(post) = next(shared, &mut at, std::mem::take(&mut quiet)) else {
                break;
            };
            clock.reset();
            posts.push(send(shared, post));
        }
        if posts.is_empty() && shared.lock().closed {
            return true;
        }
        tokio::select! {
            () = shared.poke.notified() => {}
            _ = clock.tick() => quiet = true,
            Some(sent) = posts.next() => match sent {
                Ok(()) => {}
                Err(Some(error)) => shared.end(Over::Broken(error)),
                Err(None) => {
                    refused(shared).await;
                    return false;
                }
            },
        }
        if shared.why_over().is_some() {
            return false;
        }
    }
}

/// The server has ended the link; its last frames may still be on their way.
async fn refused(shared: &Shared) {
    {
        let mut up = shared.lock();
        up.refused = true;
        if let Some(writer) = up.writer.take() {
            writer.wake();
        }
    }
    if timeout(RESUME_TIME, shared.until_over()).await.is_err() {
        shared.end(Over::Broken(LinkError::Gone));
    }
}

/// What is to be sent, if there is anything, or if there was nothing for long.
fn next(shared: &Shared, at: &mut u64, quiet: bool) -> Option<Post> {
    let mut up = shared.lock();
    let due = up.unsaid >= MAX_UNSEEN_BYTES / 4;
    if up.buffer.is_empty() && !due && !quiet {
        return None;
    }
    let length = up.buffer.len().min(MAX_POST_BYTES);
    let body = up.buffer.split_to(length).freeze();
    if let Some(writer) = up.writer.take() {
        writer.wake();
    }
    up.unsaid = 0;
    let post = Post {
        at: *at,
        seen: up.seen,
        body,
    };
    *at += length as u64;
    Some(post)
}

/// Sends until the server has it. `None` says that the server knows no such link any more.
async fn send(shared: &Shared, post: Post) -> Result<(), Option<LinkError>> {
    let mut until = Instant::now() + RESUME_TIME;
    let mut pause = PAUSE;
    loop {
        let request = shared
            .request(Method::POST)
            .header(AT_HEADER, post.at)
            .header(SEEN_HEADER, post.seen)
            .timeout(POST_TIMEOUT)
            .body(post.body.clone());
        match request.send().await.map(|answer| answer.status()) {
            Ok(StatusCode::NO_CONTENT) => return Ok(()),
            Ok(StatusCode::NOT_FOUND) => return Err(None),
            // There was no room, and so somebody is there.
            Ok(StatusCode::SERVICE_UNAVAILABLE) => {
                until = Instant::now() + RESUME_TIME;
                pause = PAUSE;
            }
            Ok(status) if status.is_client_error() && !MAY_PASS.contains(&status) => {
                return Err(Some(LinkError::Protocol));
            }
            Ok(_) | Err(_) if Instant::now() > until => return Err(Some(LinkError::Gone)),
            Ok(_) | Err(_) => {}
        }
        sleep(pause).await;
        pause *= 2;
    }
}
