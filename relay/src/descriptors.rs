//! File descriptors: the store must never be without, whatever the clients do. An engine that
//! cannot open a file takes the disk for broken, and the relay would be read-only until restart.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept for the store, the listener and the runtime.
const RESERVED: u64 = 256;

/// Asks the system for as many as the connections need, up to what it grants at all.
pub(crate) fn raise(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = (connections as u64).saturating_add(RESERVED);
    let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < granted) {
        let current = Some(granted);
        // Without it, fewer connections are served.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

/// How many connections may be open: those wanted, or what the system's limit leaves beside the
/// reserve, which is half of it where there is little.
pub(crate) fn most_connections(wanted: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let room = limit - RESERVED.min(limit / 2);
    if room < wanted as u64 {
        tracing::warn!(
            room,
            wanted,
            "the limit of file descriptors bounds connections"
        );
    }
    usize::try_from(room).map_or(wanted, |room| room.min(wanted))
}
