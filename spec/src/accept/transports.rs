//! Part 3: every transport, and the JavaScript Flexstore as an equal.

use super::{Goal, Line, Source, bench, passed, speed};
use crate::evidence::Find::{Ratio, Value};

const fn tests(words: &'static str) -> Source {
    Source {
        words,
        ci: &[],
        soak: None,
        in_ci: true,
        vectors: false,
    }
}

const WEBSOCKET: Source = tests("test -p flexstore-relay --lib http::tests");
const RENDEZVOUS: Source = tests("test -p flexstore-transports --test rendezvous");
const AUTOMERGE: Source = tests("test -p flexstore-transports --test automerge");
const TLS: Source = tests("test -p flexstore-spec --test relay_tls");
const NGINX: Source = tests("test -p flexstore-spec --test nginx");
const NETWORKS: Source = tests("test -p flexstore-spec --test networks");
const REST: Source = tests("test -p flexstore-spec --test relay_http");
const ATTACKED: Source = tests("test -p flexstore-spec --test relay_http_attacked");
const SIGNAL: Source = tests("test -p flexstore-spec --test relay_signal");
const DIALECT: Source = tests("test -p flexstore-spec --test dialect");
const HOSTILE: Source = tests("test -p flexstore-spec --test dialect_attacked");
const PAGE: Source = tests("test -p flexstore-spec --test javascript");
const PEERS: Source = tests("test -p flexstore-spec --test relay_peers");
const LOAD: Source = tests("test -p flexstore-spec --test relay_load");
const LINKS: Source = tests("test -p flexstore --test links");
const CROSSINGS: Source = tests("test -p flexstore-testkit --test crossings");
const SPEED: Source = bench("run --release -p flexstore-bench -- webrtc");

/// The lines of part 3, in the order of its issue.
pub(super) const LINES: &[Line] = &[
    // One suite for all links
    passed(
        "link/all",
        "the suite of all links: memory, WebSocket, HTTPS, TLS on and off",
        &WEBSOCKET,
        "conform",
    ),
    passed(
        "link/webrtc",
        "the suite of all links: WebRTC",
        &RENDEZVOUS,
        "conformance",
    ),
    passed(
        "link/tls",
        "clients of the real relay sync over TLS",
        &TLS,
        "clients_sync_over_tls",
    ),
    passed(
        "link/own",
        "an app gives its peer a link of its own, either end of it",
        &LINKS,
        "two_apps_sync_over_a_link_that_they_made",
    ),
    passed(
        "link/automerge",
        "Automerge's own protocol runs over an authenticated link",
        &AUTOMERGE,
        "two_documents_become_equal",
    ),
    // HTTPS
    passed(
        "https/items",
        "single items by REST: the life of one",
        &REST,
        "an_item_lives_and_dies",
    ),
    passed(
        "https/several",
        "several owners or authors: 300 and the client judges",
        &REST,
        "where_there_are_several_the_client_judges",
    ),
    passed(
        "https/smuggling",
        "requests that hide in others, and paths to files",
        &ATTACKED,
        "",
    ),
    passed(
        "https/nginx",
        "REST, sync and events pass a real nginx that buffers",
        &NGINX,
        "",
    ),
    // WebRTC
    passed(
        "webrtc/networks",
        "two networks with only a relay in common",
        &NETWORKS,
        "two_networks_with_only_a_relay_in_common",
    ),
    passed(
        "webrtc/turn",
        "a real coturn where the direct path is blocked",
        &NETWORKS,
        "a_turn_server_carries_what_has_no_direct_path",
    ),
    passed(
        "webrtc/by-hand",
        "signals carried by hand",
        &RENDEZVOUS,
        "signals_by_hand",
    ),
    // Rendezvous
    passed(
        "signal/slots",
        "two meet at a slot by any way in both orders",
        &SIGNAL,
        "two_meet_at_a_slot_by_any_way_in_both_orders",
    ),
    passed(
        "signal/flood",
        "a flood from one address is not felt at another",
        &SIGNAL,
        "a_flood_from_one_address_is_not_felt_at_another",
    ),
    passed(
        "signal/javascript",
        "JavaScript clients meet in both orders",
        &SIGNAL,
        "javascript_clients_meet_in_both_orders",
    ),
    // The JavaScript dialect
    passed(
        "dialect/kinds",
        "node clients share all kinds, live puts and deletions, 100 KB in fragments",
        &DIALECT,
        "javascript_clients_share_all_kinds_of_collections",
    ),
    passed(
        "dialect/again",
        "a sync of what is in step moves nothing",
        &DIALECT,
        "what_is_in_step_moves_nothing_when_it_comes_again",
    ),
    passed(
        "dialect/rust",
        "a Rust app and a node client share a collection; deleted while offline stays deleted",
        &DIALECT,
        "a_rust_app_and_a_javascript_app_share_a_collection",
    ),
    passed(
        "dialect/versions",
        "versions are the same for both",
        &DIALECT,
        "versions_are_the_same_for_both",
    ),
    passed(
        "dialect/page",
        "a page in headless Chromium speaks it",
        &PAGE,
        "meets_a_page_by_hand",
    ),
    // Hostile dialect input
    passed(
        "hostile/methods",
        "unknown and inherited methods, and what is no JSON",
        &HOSTILE,
        "unknown_and_inherited_methods_and_what_is_no_json",
    ),
    passed(
        "hostile/records",
        "malformed records, and traversal in tags",
        &HOSTILE,
        "malformed_records_and_traversal_in_tags",
    ),
    passed(
        "hostile/fragments",
        "huge counts and indexes, 10,000 openers: less than 64 MiB",
        &HOSTILE,
        "fragment_bombs",
    ),
    passed(
        "hostile/hashes",
        "100,000 hashes",
        &HOSTILE,
        "a_hundred_thousand_hashes",
    ),
    passed(
        "hostile/signals",
        "oversized signals, and SDP with hundreds of candidates",
        &HOSTILE,
        "oversized_signals_and_hundreds_of_candidates",
    ),
    passed(
        "hostile/eviction",
        "a second connection under somebody's uuid does not end the first",
        &HOSTILE,
        "a_second_connection_under_a_uuid_does_not_end_the_first",
    ),
    // Slow clients
    passed(
        "slow/readers",
        "readers that never read cost less than a MiB and are closed",
        &LOAD,
        "readers_that_never_read_cost_less_than_a_mebibyte_and_are_closed",
    ),
    passed(
        "slow/requests",
        "requests that trickle are cut off",
        &LOAD,
        "requests_that_trickle_are_cut_off",
    ),
    passed(
        "slow/bodies",
        "bodies that trickle are cut off",
        &ATTACKED,
        "bodies_that_trickle_are_cut_off",
    ),
    passed(
        "slow/tls",
        "TLS handshakes that trickle are cut off",
        &ATTACKED,
        "tls_handshakes_that_trickle_are_cut_off",
    ),
    passed(
        "idle/memory",
        "an idle WebSocket costs at most 12 KiB",
        &LOAD,
        "a_link_at_rest_costs_at_most_12_kib",
    ),
    // Relays among themselves
    passed(
        "relays/chain",
        "three in a chain converge, each record crosses each line once",
        &PEERS,
        "a_chain_converges",
    ),
    passed(
        "relays/ring",
        "three in a ring converge, each record crosses each line at most once each way",
        &PEERS,
        "a_ring_converges",
    ),
    passed(
        "relays/away",
        "one that was away catches up at the cost of the difference",
        &PEERS,
        "a_relay_that_was_away",
    ),
    passed(
        "relays/partition",
        "a partition heals",
        &PEERS,
        "a_partition_heals",
    ),
    passed(
        "relays/client",
        "two that only a client joins converge",
        &PEERS,
        "two_relays_that_only_a_client_joins_converge",
    ),
    passed(
        "relays/crossings",
        "in the simulated network, under any faults, no record crosses a link twice the same way",
        &CROSSINGS,
        "each_record_crosses_each_link_at_most_once_each_way",
    ),
    passed(
        "connection/shown",
        "connecting, syncing n of m, live, offline since",
        &LINKS,
        "an_app_can_show_how_it_stands_with_a_service",
    ),
    // Speed
    speed(
        "speed/webrtc",
        "16 KiB messages on loopback, MB/s",
        &SPEED,
        Value("webrtc", "16k-alone"),
        Goal::AtLeast(100.0),
    ),
    speed(
        "speed/webrtc-ratio",
        "of the bare crate",
        &SPEED,
        Ratio("webrtc", "16k"),
        Goal::AtLeast(0.9),
    ),
];
