//! Tools of the check, at pinned versions, installed below the target directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::place::Place;

/// A tool from crates.io.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// Licences and bans.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};
/// Fuzzing.
pub(crate) const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};

/// The path of the tool, installed if this version is not there yet.
pub(crate) fn install(place: &Place, tool: &Tool) -> Result<PathBuf, String> {
    // One root per version: a changed pin is a missing tool, not a stale one.
    let root = place
        .tools()
        .join(format!("{}-{}", tool.name, tool.version));
    let path = root.join("bin").join(tool.name);
    if path.is_file() {
        return Ok(path);
    }
    println!("        installing {} {}", tool.name, tool.version);
    let words = format!("install --locked {} --version {}", tool.name, tool.version);
    let run = place
        .cargo(&words, Duration::from_secs(1200))
        .arg("--root")
        .arg(&root)
        // The tools are run for seconds: build them fast rather than make them fast.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_TARGET_DIR", place.tools().join("build"))
        .run(place, &format!("install-{}", tool.name));
    if run.success && path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{} could not be installed ({})\n{}",
            tool.name,
            run.end,
            run.tail(20)
        ))
    }
}

/// Whether a program of this name is on the path.
pub(crate) fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| Path::new(&dir).join(name).is_file())
}
