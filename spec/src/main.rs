//! Runs every check of the project.
//!
//! ```text
//! cargo spec                        every step, as CI does
//! cargo spec list                   what there is
//! cargo spec fmt clippy             some steps
//! cargo spec accept core            the acceptance lines of a part, with figures
//! cargo spec soak                   what is too long for CI, at full size
//! ```
//!
//! Steps stand in `steps.rs`, acceptance lines in `accept.rs`; both are tables.

mod accept;
mod command;
mod evidence;
mod graph;
mod judge;
mod place;
mod prepare;
mod steps;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use place::Place;

/// Runs every check of the project, or those that are named.
#[derive(Parser)]
#[command(name = "cargo spec", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    job: Option<Job>,
    /// The steps to run; all of them when none is named.
    #[arg(value_name = "STEP")]
    steps: Vec<String>,
    /// Show the output of every step while it runs.
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Job {
    /// Lists the steps and the parts.
    List,
    /// Runs the acceptance lines of a part: each line's figure and goal, and whether it held.
    Accept {
        /// Which part; see `list`.
        part: String,
        /// At full size, which can take hours.
        #[arg(long)]
        soak: bool,
        /// Only the lines whose name holds this text.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Runs at full size what is too long for CI.
    Soak {
        /// Only this part.
        part: Option<String>,
        /// Only the lines whose name holds this text.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut place = match Place::find(arguments.verbose) {
        Ok(place) => place,
        Err(reason) => {
            eprintln!("cargo spec: {reason}");
            return ExitCode::FAILURE;
        }
    };
    // Evidence is not to be had from skipped tests.
    place.ci |= matches!(arguments.job, Some(Job::Accept { .. } | Job::Soak { .. }));
    let held = match arguments.job {
        None => steps::run(&place, &arguments.steps),
        Some(Job::List) => {
            steps::list();
            judge::list();
            true
        }
        Some(Job::Accept { part, soak, only }) => {
            let size = if soak {
                judge::Size::Soak
            } else {
                judge::Size::Ci
            };
            judge::accept(&place, Some(&part), size, only.as_deref())
        }
        Some(Job::Soak { part, only }) => judge::accept(
            &place,
            part.as_deref(),
            judge::Size::SoakOnly,
            only.as_deref(),
        ),
    };
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
