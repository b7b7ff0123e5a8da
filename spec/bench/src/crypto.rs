//! Signing, verifying, sealing, opening: whole compact items of 1 KiB, one core, against the npm
//! package. Rounds of ours and of the peer's alternate.
//!
//! `verify` is one at a time: parse and verify. `verify-batch` is 256 items by 16 authors, against
//! the peer's `verify`. `seal` is to one tag, X25519 against the peer's RSA-OAEP of 4,096 bits.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flexstore::seal::{self, Audience, Binding, EncryptionSecret, Kid};
use flexstore_core::{Signed, SigningKey};
use getrandom::SysRng;
use rand_core::UnwrapErr;

use crate::Outcome;
use crate::machine::{on_one_core, thread_time};
use crate::npm::{self, Npm, Took};
use crate::report::{Goal, Line, Report, median};
use crate::work;

const BATCH: usize = 256;
const AUTHORS: u8 = 16;
/// How long a round of ours lasts.
const ROUND: Duration = Duration::from_millis(150);

/// Everything that the cases need, made once.
struct Bag {
    author: SigningKey,
    payloads: Vec<String>,
    /// By one author.
    one: Vec<Bytes>,
    /// By sixteen.
    many: Vec<Bytes>,
    secret: EncryptionSecret,
    binding: Binding,
    audience: [Audience; 1],
    sealed: Vec<String>,
}

impl Bag {
    fn new() -> Outcome<Self> {
        let authors = work::authors(AUTHORS);
        let payloads: Vec<String> = (0..BATCH).map(work::text).collect();
        let signed = |count: usize| -> Outcome<Vec<Bytes>> {
            let record = |n: usize| work::record(n, &payloads[n], &authors[n % count]);
            (0..BATCH).map(|n| Ok(record(n)?.text().clone())).collect()
        };
        let (one, many) = (signed(1)?, signed(AUTHORS.into())?);
        let author = authors.into_iter().next().ok_or("no author")?;
        let secret = EncryptionSecret::generate()?;
        let audience = [Audience {
            kid: Kid::new(author.tag()),
            key: secret.public(),
        }];
        let binding = Binding {
            owner: author.tag(),
            author: author.tag(),
            col: work::id()?.as_str().into(),
            tag: Some(work::tag(0).into()),
            prop: None,
        };
        let sealed: Result<Vec<_>, _> = payloads
            .iter()
            .map(|text| seal::seal(text.as_bytes(), Some("text/plain"), &binding, &audience))
            .collect();
        Ok(Self {
            author,
            payloads,
            one,
            many,
            secret,
            binding,
            audience,
            sealed: sealed?,
        })
    }

    /// One operation of ours, the `n`th.
    fn one(&self, case: &str, n: usize) -> Outcome {
        let n = n % BATCH;
        match case {
            "sign" => {
                work::record(n, &self.payloads[n], &self.author)?;
            }
            "verify" => {
                Signed::parse(self.one[n].clone())?.verify()?;
            }
            "verify-batch" => {
                let signed: Result<Vec<_>, _> =
                    self.many.iter().cloned().map(Signed::parse).collect();
                for verdict in Signed::verify_batch(signed?, &mut UnwrapErr(SysRng)) {
                    verdict?;
                }
            }
            "seal" => {
                let text = self.payloads[n].as_bytes();
                seal::seal(text, Some("text/plain"), &self.binding, &self.audience)?;
            }
            _ => {
                let opened = seal::open(&self.sealed[n], &self.binding, &|_| Some(&self.secret))?;
                if *opened.content != *self.payloads[n].as_bytes() {
                    return Err("opened something else".into());
                }
            }
        }
        Ok(())
    }

    /// Items a second, by the clock and by processor time.
    fn round(&self, case: &str, round: Duration) -> Outcome<(f64, f64)> {
        let (start, cpu) = (Instant::now(), thread_time());
        let items = if case == "verify-batch" { BATCH } else { 1 };
        let mut done = 0;
        while start.elapsed() < round {
            self.one(case, done)?;
            done += 1;
        }
        let took = Took {
            wall: start.elapsed(),
            cpu: thread_time() - cpu,
        };
        Ok(rates(done * items, took))
    }
}

fn rates(count: usize, took: Took) -> (f64, f64) {
    let count = count as f64;
    (
        count / took.wall.as_secs_f64(),
        count / took.cpu.as_secs_f64(),
    )
}

/// Case, the peer's operation, how many of it a round has, goal.
const CASES: [(&str, &str, usize, f64); 5] = [
    ("sign", "sign", 1500, 3.0),
    ("verify", "verify", 800, 4.0),
    ("verify-batch", "verify", 800, 10.0),
    ("seal", "seal", 250, 4.0),
    ("open", "open", 50, 25.0),
];

pub(crate) fn run(report: &mut Report) -> Outcome {
    if !CASES.iter().any(|(case, ..)| report.wants(case)) {
        return Ok(());
    }
    on_one_core(|| measure(report))
}

fn measure(report: &mut Report) -> Outcome {
    let bag = Bag::new()?;
    let mut peer = Npm::start()?;
    if peer.is_none() {
        eprintln!("{} or node is not there: no comparison", npm::NAME);
    }
    let rounds = report.size(9, 3);
    for (case, operation, count, goal) in CASES {
        if !report.wants(case) {
            continue;
        }
        let count = report.size(count, count.div_ceil(10));
        let round = if report.quick { ROUND / 10 } else { ROUND };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first round of each warms up and does not count.
        for _ in 0..=rounds {
            ours.push(bag.round(case, round)?);
            if let Some(peer) = &mut peer {
                theirs.push(rates(count, peer.round(operation, count)?));
            }
        }
        let walls = |rates: &[(f64, f64)]| median(rates.iter().skip(1).map(|r| r.0).collect());
        let cpus = |rates: &[(f64, f64)]| median(rates.iter().skip(1).map(|r| r.1).collect());
        let mut line = Line::new("crypto", case, walls(&ours), "items/s")
            .with("cpu_us", 1e6 / cpus(&ours))
            .with("rounds", rounds);
        if theirs.is_empty() {
            line = line.with("missing", npm::NAME);
        } else {
            line = line
                .peer(npm::NAME, walls(&theirs))
                .goal(Goal::AtLeast(goal))
                .with("cpu_ratio", cpus(&ours) / cpus(&theirs));
        }
        report.line(&line);
    }
    if peer.is_none() && !report.quick {
        return Err("the npm package is needed: cargo spec prepare, or set FLEXSTORE_NPM".into());
    }
    Ok(())
}
