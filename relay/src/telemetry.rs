//! Logs of the binary. The library only emits `tracing` events, without payloads or credentials;
//! names of collections and peers at debug level at most, except where a link is closed for cause.

use tracing_subscriber::EnvFilter;

/// What is logged without `RUST_LOG`: the crates under WebRTC warn of what every connection does.
const FILTER: &str = "info,rtc=error,rtc_dtls=error,rtc_ice=error,rtc_sctp=error";

/// Sends events to stderr, by the variable `RUST_LOG`, or `info` and above without it. Does
/// nothing if something else takes them already.
pub fn install() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
