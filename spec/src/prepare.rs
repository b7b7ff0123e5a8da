//! Installs what tests need beside Rust, where it may, and says what is missing.

use std::fs;
use std::time::Duration;

use crate::place::Place;
use crate::tools::{self, on_path};

/// Packages from npm: the keys of the JavaScript original, whose messages and speed the tests compare
/// with, and WebRTC for clients that speak as it does.
const NPM: &[(&str, &str)] = &[
    ("@ki1r0y/distributed-security", "1.2.4"),
    ("@roamhq/wrtc", "0.10.0"),
];

/// Programs: name, Debian package, what cannot be checked without it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("cc", "gcc", "nothing builds (OpenSSL under josekit)"),
    ("perl", "perl", "nothing builds (OpenSSL under josekit)"),
    ("make", "make", "nothing builds (OpenSSL under josekit)"),
    ("g++", "g++", "no fuzzing"),
    (
        "node",
        "nodejs",
        "no comparison with the JavaScript original",
    ),
    ("npm", "npm", "no comparison with the JavaScript original"),
    ("nginx", "nginx", "no proof that HTTPS works behind a proxy"),
    ("chromium", "chromium", "no sync with a page in a browser"),
    (
        "strace",
        "strace",
        "no proof that fsync stands before an acknowledgement",
    ),
    ("nginx", "nginx-light", "no proof that HTTPS passes a proxy"),
    (
        "turnserver",
        "coturn",
        "no WebRTC where the direct path is blocked",
    ),
    ("ip", "iproute2", "no WebRTC between two networks"),
    ("nats-server", "nats-server", "no comparison of fan-out"),
    ("chromium", "chromium", "no sync with a browser"),
];

/// Everything the steps need. The words say what is missing; empty when nothing is.
pub(crate) fn everything(place: &Place) -> Vec<String> {
    let mut missing = programs(place);
    missing.extend(npm(place).err());
    for tool in [&tools::DENY, &tools::FUZZ] {
        missing.extend(tools::install(place, tool).err());
    }
    missing
}

/// Programs from the system; installed where this is root on a Debian.
fn programs(place: &Place) -> Vec<String> {
    let absent = || PROGRAMS.iter().filter(|(name, ..)| !on_path(name));
    let packages: Vec<&str> = absent().map(|(_, package, _)| *package).collect();
    if !packages.is_empty() && on_path("apt-get") && is_root() {
        println!("        installing {}", packages.join(" "));
        let limit = Duration::from_secs(600);
        let _ = place
            .command("apt-get", limit)
            .words("update -q")
            .run(place, "apt-update");
        let words = format!(
            "install -q -y --no-install-recommends {}",
            packages.join(" ")
        );
        let _ = place
            .command("apt-get", limit)
            .words(&words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run(place, "apt-install");
    }
    absent()
        .map(|(name, package, lost)| {
            format!("{name} is missing (apt-get install {package}): {lost}")
        })
        .collect()
}

/// The npm packages, below the target directory.
pub(crate) fn npm(place: &Place) -> Result<(), String> {
    let modules = place.npm().join("node_modules");
    let absent: Vec<String> = NPM
        .iter()
        .filter(|(name, version)| {
            let stated = fs::read_to_string(modules.join(name).join("package.json"));
            !stated.is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
        })
        .map(|(name, version)| format!("{name}@{version}"))
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    if !on_path("npm") {
        return Err(format!(
            "npm is missing, so {} is not installed",
            absent.join(" ")
        ));
    }
    println!("        installing {}", absent.join(" "));
    fs::create_dir_all(place.npm()).map_err(|error| format!("cannot make target/npm: {error}"))?;
    let mut job = place
        .command("npm", Duration::from_secs(300))
        .words("install --no-fund --no-audit --prefix")
        .arg(place.npm());
    for package in &absent {
        job = job.arg(package);
    }
    let run = job.run(place, "npm-install");
    if run.success {
        Ok(())
    } else {
        Err(format!(
            "npm cannot install {}: {}",
            absent.join(" "),
            run.tail(3)
        ))
    }
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|text| text.lines().any(|line| line.starts_with("Uid:\t0\t")))
}
