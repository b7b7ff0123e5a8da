//! Steps about the crates as a whole: what they need, whom they know, whether they can be shipped.

use std::time::Duration;

use super::Verdict::{self, Failed, Held};
use super::{minutes, missing, plain};
use crate::graph::Graph;
use crate::place::Place;
use crate::{prepare as needs, tools};

pub(super) fn prepare(place: &Place) -> Verdict {
    let absent = needs::everything(place);
    if absent.is_empty() {
        Held(String::new())
    } else {
        missing(place, absent.join("; "))
    }
}

pub(super) fn arrows(place: &Place) -> Verdict {
    let graph = match graph(place) {
        Ok(graph) => graph,
        Err(reason) => return Failed(reason),
    };
    let violations = graph.violations();
    if violations.is_empty() {
        Held(format!("{} crates", graph.size()))
    } else {
        Failed(violations.join("\n"))
    }
}

fn graph(place: &Place) -> Result<Graph, String> {
    let run = place
        .cargo("metadata --format-version 1 --all-features", minutes(5))
        .run(place, "metadata");
    if run.success {
        Graph::read(&run.stdout.concat())
    } else {
        Err(run.tail(20))
    }
}

/// Clippy once more over core alone, with the list of what pure code does not call. The list is no
/// part of the workspace's own configuration, since every other crate may call it all.
pub(super) fn purity(place: &Place) -> Verdict {
    let words = "clippy -p flexstore-core --lib --all-features -- \
                 -D clippy::disallowed_methods -D clippy::disallowed_types -D clippy::disallowed_macros";
    // Cargo sees the other arguments and lints core anew, whatever the clippy step left behind.
    let job = place
        .cargo(words, minutes(20))
        .env("CLIPPY_CONF_DIR", place.root.join("spec/purity"));
    plain(place, "purity", job)
}

pub(super) fn deny(place: &Place) -> Verdict {
    let tool = match tools::install(place, &tools::DENY) {
        Ok(tool) => tool,
        Err(reason) => return missing(place, reason),
    };
    let deny = |words: &str, limit| {
        let job = place.command(&tool, limit);
        job.words("--all-features --config .deny.toml").words(words)
    };
    let check = "check --hide-inclusion-graph licenses bans sources";
    if let Failed(reason) = plain(place, "deny", deny(check, minutes(5))) {
        return Failed(reason);
    }
    let fetch = deny("fetch db", Duration::from_secs(60)).run(place, "deny-fetch");
    if !fetch.success {
        return Held(
            "advisories NOT checked: their database cannot be reached from here".to_owned(),
        );
    }
    match plain(
        place,
        "deny-advisories",
        deny("check advisories", minutes(5)),
    ) {
        Held(_) => Held("advisories checked too".to_owned()),
        other => other,
    }
}

pub(super) fn package(place: &Place) -> Verdict {
    let graph = match graph(place) {
        Ok(graph) => graph,
        Err(reason) => return Failed(reason),
    };
    let crates = graph.publishable();
    // Uncommitted work is the developer's business; CI runs in a fresh clone anyway.
    let mut job = place.cargo("package --allow-dirty --no-verify", minutes(15));
    for name in &crates {
        job = job.arg("-p").arg(*name);
    }
    match plain(place, "package", job) {
        Held(_) => Held(crates.join(" ")),
        other => other,
    }
}
