//! The arrows between the crates: who may depend on whom (`spec/architecture.md`).
//!
//! Read from `cargo metadata --all-features`, over normal and build dependencies, on every platform.
//! Development dependencies are free: tests may use everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value as Json;

/// What one crate of ours may reach, directly or through others.
struct Rule {
    of: &'static str,
    /// Crates of ours; nothing else of ours.
    may: &'static [&'static str],
    /// Foreign crates that it must not reach.
    never: &'static [&'static str],
    why: &'static str,
}

const CORE: &str = "flexstore-core";
const STORAGE: &str = "flexstore-storage";
const TRANSPORTS: &str = "flexstore-transports";
const FLEXSTORE: &str = "flexstore";
const RELAY: &str = "flexstore-relay";

const RULES: &[Rule] = &[
    Rule {
        of: CORE,
        may: &[],
        never: &[
            "tokio",
            "async-std",
            "smol",
            "mio",
            "socket2",
            "getrandom",
            "rand",
            "time",
            "chrono",
            "tracing-subscriber",
            "openssl",
            "openssl-sys",
            "josekit",
        ],
        why: "core is pure: no sockets, files, clock, randomness or runtime, and no crate of ours",
    },
    Rule {
        of: STORAGE,
        may: &[CORE],
        never: &[],
        why: "storage knows only the trait in core",
    },
    Rule {
        of: TRANSPORTS,
        may: &[CORE],
        never: &[],
        why: "a transport only makes links",
    },
    Rule {
        of: FLEXSTORE,
        may: &[CORE, STORAGE],
        never: &[],
        why: "the app hands in a Dialer; a client does not link the relay",
    },
    Rule {
        of: RELAY,
        may: &[CORE, STORAGE, TRANSPORTS],
        never: &[
            "josekit",
            "openssl",
            "openssl-sys",
            "openssl-src",
            "native-tls",
        ],
        why: "the relay does not even link the code that opens sealed items, nor OpenSSL",
    },
];

/// Crates that may use all of ours; no crate above may use them.
const FREE: &[&str] = &["flexstore-testkit", "flexstore-spec", "flexstore-bench"];

/// What the packages under `examples/` may use: what an app would.
const EXAMPLES: &[&str] = &[CORE, STORAGE, TRANSPORTS, FLEXSTORE, RELAY];

/// Packages and the arrows between them.
pub(crate) struct Graph {
    names: BTreeMap<String, String>,
    /// Members of the workspace: id, with the folder and whether it can be published.
    members: BTreeMap<String, Member>,
    arrows: BTreeMap<String, Vec<String>>,
}

struct Member {
    manifest: String,
    publishable: bool,
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| format!("cargo metadata: {error}"))?;
        let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
        let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let root = format!("{}/", word(&json["workspace_root"]));
        let of_workspace: BTreeSet<String> =
            list(&json["workspace_members"]).iter().map(word).collect();

        let mut graph = Self {
            names: BTreeMap::new(),
            members: BTreeMap::new(),
            arrows: BTreeMap::new(),
        };
        for package in list(&json["packages"]) {
            let id = word(&package["id"]);
            if of_workspace.contains(&id) {
                let manifest = word(&package["manifest_path"]);
                let member = Member {
                    manifest: manifest.strip_prefix(&root).unwrap_or(&manifest).to_owned(),
                    publishable: !package["publish"].as_array().is_some_and(Vec::is_empty),
                };
                graph.members.insert(id.clone(), member);
            }
            graph.names.insert(id, word(&package["name"]));
        }
        for node in list(&json["resolve"]["nodes"]) {
            let reached = list(&node["deps"])
                .iter()
                .filter(|dep| {
                    list(&dep["dep_kinds"])
                        .iter()
                        .any(|kind| kind["kind"] != "dev")
                })
                .map(|dep| word(&dep["pkg"]))
                .collect();
            graph.arrows.insert(word(&node["id"]), reached);
        }
        if graph.members.is_empty() || graph.arrows.is_empty() {
            return Err("cargo metadata names no members or no dependencies".to_owned());
        }
        Ok(graph)
    }

    /// The names of the crates that can be published.
    pub(crate) fn publishable(&self) -> Vec<&str> {
        let ids = self.members.iter().filter(|(_, member)| member.publishable);
        ids.map(|(id, _)| self.name(id)).collect()
    }

    /// How many members there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// Every arrow that should not be there, as a sentence.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, member) in &self.members {
            let name = self.name(id);
            let (may, never, why): (&[&str], &[&str], &str) =
                if let Some(rule) = RULES.iter().find(|rule| rule.of == name) {
                    (rule.may, rule.never, rule.why)
                } else if FREE.contains(&name) {
                    continue;
                } else if member.manifest.starts_with("examples/") {
                    (EXAMPLES, &[], "an example uses what an app would")
                } else {
                    found.push(format!("{name} has no rule: add it to spec/src/graph.rs"));
                    continue;
                };
            for (reached, path) in self.closure(id) {
                let other = self.name(&reached);
                let ours = self.members.contains_key(&reached);
                if (ours && !may.contains(&other)) || never.contains(&other) {
                    found.push(format!("{path}\n    {why}"));
                }
            }
        }
        // A rule for a crate that was renamed would watch over nothing.
        let members: Vec<&str> = self.members.keys().map(|id| self.name(id)).collect();
        for rule in RULES.iter().filter(|rule| !members.contains(&rule.of)) {
            found.push(format!(
                "{} has a rule but is no member of the workspace",
                rule.of
            ));
        }
        found
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    /// Everything that a package reaches, each with the shortest path to it.
    fn closure(&self, from: &str) -> BTreeMap<String, String> {
        let mut paths = BTreeMap::new();
        let mut queue = VecDeque::from([(from.to_owned(), self.name(from).to_owned())]);
        while let Some((id, path)) = queue.pop_front() {
            for next in self.arrows.get(&id).into_iter().flatten() {
                if next != from && !paths.contains_key(next) {
                    let path = format!("{path} -> {}", self.name(next));
                    paths.insert(next.clone(), path.clone());
                    queue.push_back((next.clone(), path));
                }
            }
        }
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Our crates as they should be, with further arrows `(from, to, kind)`.
    fn graph(more: &[(&str, &str, Option<&str>)]) -> Graph {
        let ours = [
            (CORE, "flexstore/core"),
            (STORAGE, "flexstore/storage"),
            (TRANSPORTS, "transports"),
            (FLEXSTORE, "flexstore"),
            (RELAY, "relay"),
            ("flexstore-testkit", "flexstore/testkit"),
            ("flexstore-spec", "spec"),
            ("quickstart", "examples/quickstart"),
        ];
        let foreign = ["tokio", "josekit", "openssl-sys", "other"];
        let mut arrows = vec![
            (STORAGE, CORE, None),
            (TRANSPORTS, CORE, None),
            (FLEXSTORE, CORE, None),
            (FLEXSTORE, STORAGE, None),
            (FLEXSTORE, "josekit", None),
            ("josekit", "openssl-sys", None),
            (RELAY, TRANSPORTS, None),
            (RELAY, STORAGE, None),
            ("quickstart", FLEXSTORE, None),
            ("quickstart", RELAY, None),
            ("flexstore-testkit", FLEXSTORE, None),
            // Tests are free.
            (CORE, "flexstore-testkit", Some("dev")),
            (RELAY, FLEXSTORE, Some("dev")),
        ];
        arrows.extend_from_slice(more);
        let names: Vec<&str> = ours.iter().map(|(name, _)| *name).chain(foreign).collect();
        let package = |name: &&str| {
            let folder = ours
                .iter()
                .find(|(ours, _)| ours == name)
                .map_or("x", |(_, folder)| folder);
            let publish = if folder.starts_with("spec") {
                json!([])
            } else {
                json!(null)
            };
            json!({"id": name, "name": name, "publish": publish,
                   "manifest_path": format!("/w/{folder}/Cargo.toml")})
        };
        let node = |name: &&str| {
            let deps: Vec<Json> = arrows
                .iter()
                .filter(|(from, ..)| from == name)
                .map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]}))
                .collect();
            json!({"id": name, "deps": deps})
        };
        let metadata = json!({
            "workspace_root": "/w",
            "workspace_members": ours.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "packages": names.iter().map(package).collect::<Vec<_>>(),
            "resolve": {"nodes": names.iter().map(node).collect::<Vec<_>>()},
        });
        Graph::read(&metadata.to_string()).unwrap()
    }

    #[track_caller]
    fn refused(from: &str, to: &str, kind: Option<&str>) {
        let found = graph(&[(from, to, kind)]).violations();
        assert!(
            found
                .iter()
                .any(|line| line.starts_with(from) && line.contains(&format!("-> {to}"))),
            "{from} -> {to}: {found:?}"
        );
    }

    #[test]
    fn the_house_as_designed_is_allowed() {
        assert_eq!(graph(&[]).violations(), Vec::<String>::new());
        assert_eq!(
            graph(&[(CORE, "other", None)]).violations(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_rule_is_watched() {
        for to in [
            STORAGE,
            TRANSPORTS,
            FLEXSTORE,
            RELAY,
            "flexstore-testkit",
            "tokio",
            "josekit",
        ] {
            refused(CORE, to, None);
        }
        for to in [TRANSPORTS, FLEXSTORE, RELAY, "flexstore-spec"] {
            refused(STORAGE, to, None);
        }
        for to in [STORAGE, FLEXSTORE, RELAY, "flexstore-testkit"] {
            refused(TRANSPORTS, to, None);
        }
        for to in [TRANSPORTS, RELAY, "flexstore-testkit", "quickstart"] {
            refused(FLEXSTORE, to, None);
        }
        for to in [FLEXSTORE, "flexstore-testkit", "josekit", "openssl-sys"] {
            refused(RELAY, to, None);
        }
        refused("quickstart", "flexstore-testkit", None);
    }

    #[test]
    fn build_dependencies_count_and_detours_too() {
        refused(RELAY, FLEXSTORE, Some("build"));
        let found = graph(&[(RELAY, "other", None), ("other", "josekit", None)]).violations();
        assert!(
            found
                .iter()
                .any(|line| line.contains("flexstore-relay -> other -> josekit"))
        );
    }

    #[test]
    fn a_member_without_a_rule_and_a_rule_without_a_member_are_told() {
        let mut graph = graph(&[]);
        graph
            .names
            .insert(STORAGE.to_owned(), "flexstore-disk".to_owned());
        let found = graph.violations().join("\n");
        assert!(found.contains("flexstore-disk has no rule"));
        assert!(found.contains("flexstore-storage has a rule"));
    }

    #[test]
    fn publishable_leaves_out_the_private() {
        let graph = graph(&[]);
        assert!(graph.publishable().contains(&CORE));
        assert!(!graph.publishable().contains(&"flexstore-spec"));
    }

    #[test]
    fn what_is_not_metadata_is_an_error() {
        for text in ["", "[]", "{}", "{\"packages\":[]}"] {
            assert!(Graph::read(text).is_err());
        }
    }
}
