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

mod crypto;
mod machine;
mod npm;
mod open;
mod report;
mod store;
mod work;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use report::Report;

/// Why a bench could not be run.
type Error = Box<dyn std::error::Error + Send + Sync>;
/// What a bench comes to.
type Outcome<T = ()> = Result<T, Error>;

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
    /// Signing, verifying, sealing, opening, against the npm package.
    Crypto,
    /// Durable stores and reads.
    Store,
    /// Reopening and listing.
    Open,
    /// Reconciliation, against the negentropy crate.
    Reconcile,
    /// All of them.
    All,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.quick, arguments.case);
    let benches: [(Bench, fn(&mut Report) -> Outcome); 3] = [
        (Bench::Crypto, crypto::run),
        (Bench::Store, store::run),
        (Bench::Open, open::run),
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
