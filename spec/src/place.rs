//! Where things are, and the environment that the commands of a step run in.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Job;

/// The repository, its target directory, and how to report.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) verbose: bool,
    /// CI is set: what is missing fails instead of being skipped.
    pub(crate) ci: bool,
}

impl Place {
    pub(crate) fn find(verbose: bool) -> Result<Self, String> {
        // Not the compiled-in path: a shared target directory may hold another checkout's runner.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map(Path::to_path_buf)
            .ok_or("the runner's manifest has no parent folder")?;
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        let ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        Ok(Self {
            root,
            target,
            verbose,
            ci,
        })
    }

    /// Where the packages from npm live that the tests compare with.
    pub(crate) fn npm(&self) -> PathBuf {
        self.target.join("npm")
    }

    /// Where the tools live that `cargo install` made for the checks.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Where full output of each command is kept.
    pub(crate) fn logs(&self) -> PathBuf {
        self.target.join("spec")
    }

    /// A program run at the top of the repository.
    pub(crate) fn command(&self, program: impl AsRef<Path>, limit: Duration) -> Job {
        Job::new(program.as_ref(), &self.root, limit)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .env("FLEXSTORE_NPM", self.npm())
    }

    /// A cargo command, its words separated by spaces.
    pub(crate) fn cargo(&self, words: &str, limit: Duration) -> Job {
        let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        self.command(cargo, limit).words(words)
    }
}
