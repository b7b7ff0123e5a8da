//! Which of the records under a tag a request means.

use std::collections::BTreeSet;

use flexstore_core::authority::Standing;
use flexstore_core::register::Row;
use flexstore_core::{Digest, KeyTag, Kind, Tag};

use crate::http::Problem;

/// What the query says.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    owner: Option<KeyTag>,
    author: Option<KeyTag>,
    digest: Option<Digest>,
    at: Option<u64>,
    pub(super) versions: bool,
}

impl Query {
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let bad = |what| Problem::bad_request(what);
        let mut query = Self::default();
        for (name, value) in pairs {
            let key = || KeyTag::parse(value).map_err(|_| bad("owner and author are key tags"));
            match name.as_str() {
                "owner" => query.owner = Some(key()?),
                "author" => query.author = Some(key()?),
                "digest" => {
                    let digest = Digest::parse(value);
                    query.digest =
                        Some(digest.map_err(|_| bad("digest is 32 bytes in base64url"))?);
                }
                "at" => {
                    let at = value.parse();
                    query.at = Some(at.map_err(|_| bad("at is a time in ms since 1970"))?);
                }
                "versions" => query.versions = true,
                _ => {
                    return Err(bad(
                        "owner, author, digest, at and versions can be asked for",
                    ));
                }
            }
        }
        Ok(query)
    }

    /// Of one record's owner and author, as it is seen by who wants to replace it.
    pub(super) const fn of(owner: KeyTag, author: KeyTag) -> Self {
        Self {
            owner: Some(owner),
            author: Some(author),
            digest: None,
            at: None,
            versions: false,
        }
    }
}

/// What is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Nothing,
    /// An item.
    One(Row),
    /// A tombstone, and no item.
    Deleted(Row),
    /// Whoever asks has to choose.
    Several(Vec<Row>),
}

/// Chooses as the rules of reading have it, where they leave no choice.
///
/// An owner is taken whom the tag itself names. Immutable content is the same whoever signed it,
/// so of that the earliest record is taken.
pub(super) fn choose(kind: Kind, tag: &Tag, rows: &[Row], query: &Query) -> Choice {
    let rows = meant(rows, query);
    if query.digest.is_some() {
        return rows.into_iter().next().map_or(Choice::Nothing, single);
    }
    let shown = shown_each(kind, tag, &rows, query);
    let live: Vec<&Row> = shown.iter().filter(|row| !row.tombstone).collect();
    match (&live[..], kind) {
        ([], _) => match &shown[..] {
            [] => Choice::Nothing,
            [one] => single(one.clone()),
            _ => Choice::Several(shown),
        },
        ([one], _) => single((*one).clone()),
        (several, Kind::Immutable) => {
            let earliest = several.iter().min_by_key(|row| row.stamp);
            earliest.map_or(Choice::Nothing, |row| single((*row).clone()))
        }
        (_, _) => Choice::Several(shown),
    }
}

/// The versions of one owner, oldest first; the candidates if there are several owners.
pub(super) fn versions(tag: &Tag, rows: &[Row], query: &Query) -> Result<Vec<Row>, Vec<Row>> {
    let rows = meant(rows, query);
    let owners = owners(tag, &rows);
    if owners.len() > 1 {
        return Err(shown_each(Kind::Versioned, tag, &rows, query));
    }
    let mut versions: Vec<Row> = rows.into_iter().filter(|row| !row.tombstone).collect();
    versions.retain(|row| owners.contains(&row.owner));
    versions.sort_by_key(|row| row.stamp);
    Ok(versions)
}

fn single(row: Row) -> Choice {
    if row.tombstone {
        Choice::Deleted(row)
    } else {
        Choice::One(row)
    }
}

/// The rows that the query allows, and that count. Where of an owner none does because its Team
/// records are not here, all of them: the client may know more.
fn meant(rows: &[Row], query: &Query) -> Vec<Row> {
    let asked = |row: &&Row| {
        query.owner.is_none_or(|owner| row.owner == owner)
            && query.author.is_none_or(|author| row.author == author)
            && query
                .digest
                .is_none_or(|digest| row.stamp.digest == digest || row.state == Some(digest))
    };
    let judged: BTreeSet<KeyTag> = rows
        .iter()
        .filter(|row| row.counts())
        .map(|row| row.owner)
        .collect();
    let counts = |row: &&Row| {
        row.counts() || row.standing == Standing::Unjudged && !judged.contains(&row.owner)
    };
    rows.iter().filter(asked).filter(counts).cloned().collect()
}

/// Whose items could be meant: the one whom the tag names, or else all.
fn owners(tag: &Tag, rows: &[Row]) -> BTreeSet<KeyTag> {
    let all: BTreeSet<KeyTag> = rows.iter().map(|row| row.owner).collect();
    let own = all.iter().find(|owner| tag.belongs_to(owner)).copied();
    own.map_or(all, |own| BTreeSet::from([own]))
}

/// What each author shows for each owner.
fn shown_each(kind: Kind, tag: &Tag, rows: &[Row], query: &Query) -> Vec<Row> {
    let mut all = Vec::new();
    for owner in owners(tag, rows) {
        let of_owner: Vec<&Row> = rows.iter().filter(|row| row.owner == owner).collect();
        all.extend(match kind {
            Kind::Immutable => immutable(&of_owner),
            Kind::Mutable => latest_of_each(of_owner.into_iter()),
            Kind::Versioned => versioned(&of_owner, query.at),
        });
    }
    all
}

/// A tombstone hides the content, whenever it was signed.
fn immutable(rows: &[&Row]) -> Vec<Row> {
    let tombstone = rows
        .iter()
        .filter(|row| row.tombstone)
        .min_by_key(|row| row.stamp);
    let earliest = || rows.iter().min_by_key(|row| row.stamp);
    let shown = tombstone.or_else(earliest);
    shown.map(|row| (*row).clone()).into_iter().collect()
}

/// Heads: versions that no other follows; tombstones where there is no version.
fn versioned(rows: &[&Row], at: Option<u64>) -> Vec<Row> {
    let until = at.unwrap_or(u64::MAX);
    let versions = || {
        rows.iter()
            .filter(|row| !row.tombstone && row.stamp.iat <= until)
    };
    let followed: BTreeSet<Digest> = versions().filter_map(|row| row.ant).collect();
    let heads = versions().filter(|row| row.state.is_none_or(|state| !followed.contains(&state)));
    let heads = latest_of_each(heads.copied());
    if heads.is_empty() && at.is_none() {
        return latest_of_each(rows.iter().copied());
    }
    heads
}

/// The latest row of each author.
fn latest_of_each<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Row> {
    let mut latest: Vec<Row> = Vec::new();
    for row in rows {
        match latest.iter_mut().find(|known| known.author == row.author) {
            Some(known) if known.stamp < row.stamp => *known = row.clone(),
            Some(_) => {}
            None => latest.push(row.clone()),
        }
    }
    latest
}
