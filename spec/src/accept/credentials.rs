//! Part 2: credentials.

use super::{Goal, Line, Source, bench, count, passed, said, speed};
use crate::evidence::Find::{Ratio, Value};

const HISTORIES: Source = Source {
    words: "test -p flexstore-testkit --test authority -- --nocapture",
    ci: &[("HISTORIES", "3000")],
    soak: Some(&[("HISTORIES", "50000")]),
    in_ci: true,
    vectors: false,
};
const DAGS: Source = Source {
    words: "test -p flexstore-testkit --test judging -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const CASES: Source = Source {
    words: "test -p flexstore-core --test authority",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const CLOCKS: Source = Source {
    words: "test -p flexstore-testkit --test teams",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const ATTACKED: Source = Source {
    words: "test -p flexstore-spec --test people_attacked",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const CANARY: Source = Source {
    words: "test -p flexstore-spec --test canary",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const PEOPLE: Source = Source {
    words: "test -p flexstore-spec --test people",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const FLAWS: Source = Source {
    words: "test -p flexstore --test original_flaws",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const VECTORS: Source = Source {
    words: "test -p flexstore --test js_vectors",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: true,
};
const ORIGINAL: Source = Source {
    words: "test -p flexstore-spec --test original -- --nocapture",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const SECRETS: Source = Source {
    words: "test -p flexstore --test secrets --test secrets_wrap --test secrets_memory --test vault --test vault_crash --test vault_in_use",
    ci: &[],
    soak: None,
    in_ci: true,
    vectors: false,
};
const PEOPLE_COST: Source = bench("run --release -p flexstore-bench -- crypto");
const JUDGING_COST: Source = bench("run --release -p flexstore-bench -- authority");

/// The lines of part 2, in the order of its issue.
pub(super) const LINES: &[Line] = &[
    // Authority
    count(
        "authority/histories",
        "random histories of teams on 5 replicas end as an independent model says",
        &HISTORIES,
        3_000.0,
        50_000.0,
    ),
    count(
        "authority/dags",
        "random heaps of Team records are judged as an independent model says",
        &DAGS,
        100_000.0,
        100_000.0,
    ),
    passed(
        "authority/arrival",
        "every order of arrival ends in the same",
        &HISTORIES,
        "arrival",
    ),
    passed(
        "authority/ex-member-again",
        "an ex-member adds itself again",
        &CASES,
        "an_ex_member_cannot_add_itself_again",
    ),
    passed(
        "authority/ex-member-fork",
        "an ex-member forks below its removal",
        &CASES,
        "an_ex_member_that_forks_below_its_removal_loses",
    ),
    passed(
        "authority/rival-first",
        "a rival first record",
        &CASES,
        "a_rival_first_record_counts_nothing_and_a_pin_settles_it",
    ),
    passed(
        "authority/each-other",
        "two members remove each other at once",
        &CASES,
        "of_two_members_removing_each_other_at_once",
    ),
    passed(
        "authority/each-other-app",
        "two members remove each other at once, as their apps see it",
        &ATTACKED,
        "two_members_removing_each_other_at_once",
    ),
    passed(
        "authority/two-removals",
        "two removals at once, and who can read afterwards",
        &ATTACKED,
        "two_removals_at_once_both_hold_and_neither_can_read_afterwards",
    ),
    passed(
        "authority/solo-team-key",
        "a solo item signed with the team's key",
        &CLOCKS,
        "a_solo_item_signed_with_the_team_key",
    ),
    passed(
        "authority/stolen-device",
        "a stolen device deletes everything",
        &PEOPLE,
        "what_a_stolen_phone_deleted_comes_back",
    ),
    passed(
        "authority/slow-clock",
        "a member with a slow clock",
        &CLOCKS,
        "a_member_with_a_slow_clock",
    ),
    passed(
        "authority/fast-tombstone",
        "a tombstone from a fast clock",
        &CLOCKS,
        "a_tombstone_from_a_fast_clock",
    ),
    passed(
        "authority/nested-phone",
        "a removed phone of a person in a team of teams",
        &CASES,
        "a_removed_phone_of_a_person_in_a_team_of_teams",
    ),
    passed(
        "authority/nested-phone-app",
        "the same, as apps see it",
        &ATTACKED,
        "a_removed_phone_of_a_person_in_a_team_of_teams",
    ),
    passed(
        "authority/invitation",
        "a contested invitation",
        &CASES,
        "a_contested_invitation",
    ),
    passed(
        "authority/invitation-app",
        "the same, as apps see it",
        &ATTACKED,
        "a_contested_invitation",
    ),
    passed(
        "authority/reads-nothing",
        "an ex-member with all keys opens none of 1,000 later items",
        &ATTACKED,
        "an_ex_member_that_kept_all_keys",
    ),
    // The original's flaws
    flaw(
        "flaws/iss",
        "forged `iss`",
        "a_forged_iss_header_is_refused",
    ),
    flaw(
        "flaws/group",
        "forged `group`",
        "a_forged_group_header_makes_nobody_the_owner",
    ),
    flaw(
        "flaws/readd",
        "a removed member re-adding itself",
        "a_removed_member_cannot_readd_itself",
    ),
    flaw(
        "flaws/squatting",
        "squatting a key's tag in any collection",
        "a_key_tag_cannot_be_squatted_in_any_collection",
    ),
    flaw(
        "flaws/future",
        "far-future `iat`",
        "a_far_future_iat_is_refused",
    ),
    flaw(
        "flaws/malformed",
        "malformed JSON and JWS",
        "malformed_json_and_jws_are_typed_refusals",
    ),
    flaw(
        "flaws/binary",
        "a binary payload",
        "a_binary_payload_is_an_item_like_any_other",
    ),
    flaw(
        "flaws/tombstones",
        "tombstones lost in sync or by a restart",
        "a_tombstone_is_lost_neither_in_sync_nor_by_a_restart",
    ),
    flaw(
        "flaws/immutable",
        "an Immutable original coming back over its tombstone",
        "an_immutable_original_does_not_come_back_over_its_tombstone",
    ),
    flaw(
        "flaws/swap",
        "tombstone and later rewrite swapping",
        "a_tombstone_and_a_rewrite_do_not_swap",
    ),
    flaw(
        "flaws/ties",
        "equal-time ties diverging",
        "equal_time_ties_converge",
    ),
    flaw(
        "flaws/versions",
        "ten concurrent versioned stores losing states",
        "ten_concurrent_versioned_stores_lose_no_state",
    ),
    flaw(
        "flaws/audience",
        "several audience tags losing data",
        "several_audience_tags_lose_no_data",
    ),
    flaw(
        "flaws/at-a-time",
        "`retrieve` at a time returning ciphertext",
        "retrieve_at_a_time_answers_the_content",
    ),
    flaw(
        "flaws/update",
        "`update` before the item is safe",
        "update_comes_after_the_item_is_durable",
    ),
    flaw(
        "flaws/bare-hash",
        "an unsalted hash as key wrapping",
        "a_bare_hash_wraps_no_key_and_opens_only_by_migrate",
    ),
    flaw(
        "flaws/device-secret",
        "a public string as device secret",
        "a_public_string_is_no_device_secret",
    ),
    flaw(
        "flaws/moving",
        "moving an item to another tag or collection",
        "an_item_does_not_move_to_another_tag_or_collection",
    ),
    // Interchange
    passed(
        "interchange/vectors",
        "every case of every file has its verdict; what differs is frozen with a reason",
        &VECTORS,
        "every",
    ),
    said(
        "interchange/items",
        "items made by the npm package in node verify here, byte for byte the other way round",
        &ORIGINAL,
    ),
    said(
        "interchange/teams",
        "teams and changes of membership, both ways",
        &ORIGINAL,
    ),
    said("interchange/seals", "sealed payloads, both ways", &ORIGINAL),
    said(
        "interchange/wraps",
        "device and recovery wraps, read by the migrate call",
        &ORIGINAL,
    ),
    said(
        "interchange/invitation",
        "an invitation made there is claimed here",
        &ORIGINAL,
    ),
    // Secrets
    passed(
        "secrets/canary",
        "no private key, passphrase or recovery word on disk, in logs, panics or `Debug`",
        &CANARY,
        "",
    ),
    passed(
        "secrets/one-answer",
        "a wrong passphrase and a damaged vault answer alike",
        &SECRETS,
        "have_one_answer",
    ),
    passed(
        "secrets/wiped",
        "wiping leaves no key bytes in the files",
        &SECRETS,
        "nothing_is_left_after_a_wipe",
    ),
    passed(
        "secrets/cost",
        "Argon2id outside floor and ceiling is refused before work is done",
        &SECRETS,
        "a_cost_out_of_bounds_takes_neither_time_nor_memory",
    ),
    // Cost
    speed(
        "cost/stolen-device",
        "ms of CPU in one call for a stolen device, besides one Argon2id",
        &PEOPLE_COST,
        Value("crypto", "stolen-device"),
        Goal::AtMost(50.0),
    ),
    speed(
        "cost/unlock",
        "ms to open a team of 1,000 leaves in 3 levels",
        &PEOPLE_COST,
        Value("crypto", "unlock-1000"),
        Goal::AtMost(20.0),
    ),
    speed(
        "cost/judging",
        "x the CPU of replicating what nobody can judge",
        &JUDGING_COST,
        Ratio("authority", "replicate-judged"),
        Goal::AtMost(1.05),
    ),
];

/// A flaw of the original, refused or right here.
const fn flaw(name: &'static str, claim: &'static str, test: &'static str) -> Line {
    passed(name, claim, &FLAWS, test)
}
