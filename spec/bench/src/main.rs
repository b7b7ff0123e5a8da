//! Speed and memory of Flexstore, as ratios against named peers.
//!
//! ```text
//! flexstore-bench                     everything
//! flexstore-bench crypto --case seal  one case
//! flexstore-bench --quick             small sizes, for CI: whether it runs, not how fast
//! ```
//!
//! One JSON object a case on stdout, words on stderr. Exits 1 if a case could not be run or, at
//! full size, does not hold. The npm package is looked for in `$FLEXSTORE_NPM/node_modules`; stores
//! are made in `$FLEXSTORE_BENCH_DIR`, or beside the executable.
#![forbid(unsafe_code)]

mod authority;
mod child;
mod crypto;
mod latency;
mod machine;
mod memory;
mod npm;
mod open;
mod people;
mod reconcile;
mod replicate;
mod report;
mod store;
mod webrtc;
mod work;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use report::Report;

/// Why a bench could not be run.
type Error = Box<dyn std::error::Error + Send + Sync>;
/// What a bench comes to.
type Outcome<T = ()> = Result<T, Error>;

/// Measures the cases that are asked for.
type Run = fn(&mut Report) -> Outcome;

/// Measures speed and memory.
#[derive(Parser)]
#[command(name = "flexstore-bench")]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value_t = Bench::All)]
    bench: Bench,
    /// Small sizes, seconds in total; speed is then not judged.
    #[arg(long)]
    quick: bool,
    /// Only this case.
    #[arg(long)]
    case: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Signing, verifying, sealing, opening, against the npm package; what people and teams cost.
    Crypto,
    /// Judging who may write for a team.
    Authority,
    /// Durable stores and reads.
    Store,
    /// Reopening and listing.
    Open,
    /// Reconciliation, against the negentropy crate.
    Reconcile,
    /// Items from a client to a relay and on to another client.
    Replicate,
    /// One item from a client to a relay and on to another client.
    Latency,
    /// A relay's memory for each item.
    Memory,
    /// Messages from peer to peer, against the webrtc crate.
    Webrtc,
    /// All of them.
    All,
}

fn main() -> ExitCode {
    // The bench is its own relay and its own clients, in processes of their own.
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == child::WORD) {
        return child::main(&words[2..]);
    }
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.quick, arguments.case);
    let benches: [(Bench, Run); 10] = [
        (Bench::Crypto, crypto::run),
        (Bench::Crypto, people::run),
        (Bench::Authority, authority::run),
        (Bench::Store, store::run),
        (Bench::Open, open::run),
        (Bench::Reconcile, reconcile::run),
        (Bench::Replicate, replicate::run),
        (Bench::Latency, latency::run),
        (Bench::Memory, memory::run),
        (Bench::Webrtc, webrtc::run),
    ];
    for (bench, run) in benches {
        if (arguments.bench == bench || arguments.bench == Bench::All)
            && let Err(error) = run(&mut report)
        {
            report.broken(&error.to_string());
        }
    }
    report.end()
}
