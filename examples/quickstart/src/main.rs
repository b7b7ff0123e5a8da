//! Flexstore in a minute: real records, a relay, a stranger, a crash; then people with several
//! devices, a team, and a thief.
//!
//! One file an act, under `acts/`; [`stage`] has who plays in the first five and what they share,
//! [`people`] the same for the last three, [`relay`] the relay's process, [`report`] what is
//! printed. Nothing printed is decided in advance: every line
//! that says "shown" compares what the library gave with what went in.
#![forbid(unsafe_code)]

mod acts;
mod cities;
mod disk;
mod people;
mod relay;
mod report;
mod stage;
mod terminal;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use relay::Transport;
use report::Report;
use stage::{Place, Stage};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// An example has one way to fail: in words, to a person.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Flexstore in a minute, with real records.
///
/// Alice and Bob share them through a relay that can read none of them, edit offline,
/// look back in time, keep a stranger out, and lose nothing when the relay is killed.
/// Ann and Ben have two devices each and a team, which Ben has to leave; Ann loses both
/// devices, one to a thief, and comes back by her recovery words.
/// All on this machine; exits 1 if anything could not be shown.
#[derive(Parser)]
#[command(name = "quickstart", version, disable_help_subcommand = true)]
#[command(verbatim_doc_comment)]
struct Arguments {
    /// How many cities Alice shares with Bob
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(10..=cities::COUNT))]
    records: u32,
    /// By which transport all sync with the relay
    #[arg(long, value_enum, default_value_t = Transport::Websocket)]
    transport: Transport,
    /// Keep everybody's data directories in this new directory.
    /// They hold signed and sealed records, and vaults with the
    /// private keys of Ann and Ben; those of all others stay in
    /// memory and go with the program
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.role {
        Some(Role::Relay { listen, data }) => serve(listen, data),
        None => show(arguments.records, arguments.transport, arguments.keep),
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

fn serve(listen: SocketAddr, data: PathBuf) -> Result<bool> {
    Runtime::new()?.block_on(relay::serve(listen, data))?;
    Ok(true)
}

/// Plays all acts, and tells whether everything was shown.
fn show(records: u32, transport: Transport, keep: Option<PathBuf>) -> Result<bool> {
    let began = Instant::now();
    let place = Place::new(transport, keep)?;
    let mut report = Report::default();
    report.introduce(records);
    let runtime = Runtime::new()?;
    let played = runtime.block_on(async {
        // Waited for here, so that the directories go also when somebody has seen enough.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            played = play(records, &place, &mut report) => played,
            _ = interrupt.recv() => Err("interrupted".into()),
            _ = terminate.recv() => Err("terminated".into()),
        }
    });
    // Nobody is to write any more when the directories are removed.
    drop(runtime);
    if let Err(error) = &played {
        report.broke(error);
    }
    let shown = report.finish(began.elapsed());
    if let Some(kept) = place.kept() {
        println!("\nThe data directories are in {}.", kept.display());
    }
    Ok(shown && played.is_ok())
}

async fn play(records: u32, place: &Place, report: &mut Report) -> Result<()> {
    let mut stage = Stage::set(cities::load(records)?, place).await?;
    acts::share::play(&mut stage, report).await?;
    acts::offline::play(&stage, report).await?;
    acts::history::play(&stage, report).await?;
    acts::stranger::play(&stage, place, report).await?;
    acts::crash::play(&mut stage, report).await?;
    let mut cast = acts::people::play(&stage, place, report).await?;
    let guide = acts::team::play(&stage, place, &mut cast, report).await?;
    acts::stolen::play(&stage, place, cast, guide, report).await?;
    stage.clear().await
}
