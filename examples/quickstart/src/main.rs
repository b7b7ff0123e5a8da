//! Flexstore in a minute: real records, a relay, two people, a stranger, and a crash.
//!
//! One file an act, under `acts/`; [`stage`] has the people and what they share, [`relay`] the
//! relay's process, [`report`] what is printed. Nothing printed is decided in advance: every line
//! that says "shown" compares what the library gave with what went in.
#![forbid(unsafe_code)]

mod acts;
mod cities;
mod relay;
mod report;
mod stage;
mod terminal;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use report::Report;
use stage::Stage;
use tokio::signal::unix::{SignalKind, signal};

/// An example has one way to fail: in words, to a person.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Flexstore in a minute: Alice and Bob share real records through a relay that can read none of
/// them, edit them offline, look back in time, keep a stranger out, and lose nothing when the
/// relay is killed. All on this machine; exits 1 if anything could not be shown.
#[derive(Parser)]
#[command(name = "quickstart", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// How many cities Alice shares with Bob
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(10..=cities::COUNT))]
    records: u32,
    /// Keep everybody's data directories here, to look at. They hold signed and sealed records
    /// only: the private keys stay in memory and go with the program
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// What the example starts for itself, as a process of its own.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        data: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.role {
        Some(Role::Relay { listen, data }) => relay::serve(listen, data).await.map(|()| true),
        None => show(arguments.records, arguments.keep).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays all acts, and tells whether everything was shown.
async fn show(records: u32, keep: Option<PathBuf>) -> Result<bool> {
    let began = Instant::now();
    // Waited for here, so that the directories go and the relay ends also when somebody is bored.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let place = stage::Place::new(keep)?;
    let mut report = Report::default();
    report.introduce(records);
    let played = tokio::select! {
        played = play(records, &place, &mut report) => played,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    };
    if let Err(error) = &played {
        report.broke(error);
    }
    let shown = report.finish(began.elapsed());
    if let Some(kept) = place.kept() {
        println!("\nThe data directories are in {}.", kept.display());
    }
    Ok(shown && played.is_ok())
}

async fn play(records: u32, place: &stage::Place, report: &mut Report) -> Result<()> {
    let mut stage = Stage::set(cities::load(records)?, place).await?;
    acts::share::play(&mut stage, report).await?;
    acts::offline::play(&stage, report).await?;
    acts::history::play(&stage, report).await?;
    acts::stranger::play(&stage, place, report).await?;
    acts::crash::play(&mut stage, report).await?;
    stage.clear().await
}
