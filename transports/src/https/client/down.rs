//! Reads the stream of events, and takes it up again where it broke.

use std::sync::Arc;
use std::time::Duration;

use flexstore_core::link::LinkError;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::super::events::{Event, Parser};
use super::super::{Over, RESUME_TIME};
use super::halves::Batch;
use super::shared::Shared;

/// Pieces of the stream that wait for the reader.
const MAX_BATCHES: usize = 2;
/// Before a stream that broke is asked for again; twice as long each time.
const PAUSE: Duration = Duration::from_millis(50);
const EVENT_STREAM: &str = "text/event-stream";

/// Starts reading. The task ends with the link.
pub(super) fn start(shared: Arc<Shared>, heartbeat: Duration) -> mpsc::Receiver<Batch> {
    let (batches, receiver) = mpsc::channel(MAX_BATCHES);
    tokio::spawn(async move {
        let mut down = Down {
            shared: &shared,
            batches,
            last: 0,
            silence: 2 * heartbeat,
        };
        let over = tokio::select! {
            biased;
            over = down.run() => over,
            () = shared.until_over() => return,
        };
        // Before the reader can see that there is no more.
        shared.end(over);
    });
    receiver
}

struct Down<'a> {
    shared: &'a Shared,
    batches: mpsc::Sender<Batch>,
    /// The number of the last frame.
    last: u64,
    silence: Duration,
}

/// Why a stream is not read on.
enum Stop {
    /// The link is over.
    Over(Over),
    /// It broke; another one may go on.
    Broke,
}

impl Down<'_> {
    async fn run(&mut self) -> Over {
        let mut broken = Instant::now();
        let mut pause = PAUSE;
        loop {
            if let Ok(answer) = self.ask().await {
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(over) => return over,
                };
                pause = PAUSE;
                match self.read(answer).await {
                    Stop::Over(over) => return over,
                    Stop::Broke => broken = Instant::now(),
                }
            }
            if broken.elapsed() > RESUME_TIME {
                return Over::Broken(LinkError::Gone);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// Asks for the stream; `Err` if to be tried again.
    async fn ask(&self) -> Result<Result<Response, Over>, ()> {
        let mut request = self
            .shared
            .request(Method::GET)
            .header(ACCEPT, EVENT_STREAM);
        if self.last > 0 {
            request = request.header("last-event-id", self.last);
        }
        let answer = timeout(RESUME_TIME, request.send()).await;
        let answer = answer.map_err(drop)?.map_err(drop)?;
        let kind = answer.headers().get(CONTENT_TYPE);
        let is_stream =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(EVENT_STREAM.as_bytes()));
        match answer.status() {
            StatusCode::OK if is_stream => Ok(Ok(answer)),
            StatusCode::OK => Ok(Err(Over::Broken(LinkError::Protocol))),
            StatusCode::NOT_FOUND => Ok(Err(Over::Broken(LinkError::Gone))),
            status if status.is_client_error() => Ok(Err(Over::Broken(LinkError::Protocol))),
            _ => Err(()),
        }
    }

    async fn read(&mut self, mut answer: Response) -> Stop {
        let mut parser = Parser::default();
        loop {
            let piece = match timeout(self.silence, answer.chunk()).await {
                // Nobody is there: no more than what the server's own clock would say.
                Err(_) => return Stop::Over(Over::Broken(LinkError::Gone)),
                Ok(Err(_) | Ok(None)) => return Stop::Broke,
                Ok(Ok(Some(piece))) => piece,
            };
            parser.feed(&piece);
            let (batch, stop) = self.take(&mut parser);
            if !batch.is_empty() && self.batches.send(batch).await.is_err() {
                return Stop::Over(Over::Closed);
            }
            if let Some(stop) = stop {
                return stop;
            }
        }
    }

    /// All frames that are here, and whether it goes on after them.
    fn take(&mut self, parser: &mut Parser) -> (Batch, Option<Stop>) {
        let mut batch = Batch::new();
        let stop = loop {
            match parser.next() {
                Ok(None) => break None,
                Ok(Some(Event::End)) => break Some(Over::Closed),
                Ok(Some(Event::Frame(number, frame))) if number == self.last + 1 => {
                    self.last = number;
                    batch.push_back((number, frame));
                }
                Ok(Some(Event::Frame(..))) => break Some(Over::Broken(LinkError::Protocol)),
                Err(error) => break Some(Over::Broken(error)),
            }
        };
        (batch, stop.map(Stop::Over))
    }
}
