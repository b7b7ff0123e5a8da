//! The JavaScript client that the tests of the dialect use: it agrees with itself, with what the
//! original left, and with itself in a browser. Skipped where its packages are not there.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use serde_json::json;
use support::javascript::{CREDENTIALS, Client, MUTABLE, VERSIONED, packages, scripts, team_of};
use tokio::process::Command;

async fn self_test(words: &[&str]) {
    let Some(root) = packages() else {
        println!("skipped: @roamhq/wrtc is not installed (cargo spec prepare)");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let run = Command::new("node")
        .arg(scripts().join("self_test.mjs"))
        .args(words)
        .current_dir(place.path())
        .env("FLEXSTORE_NPM", root)
        .kill_on_drop(true)
        .output();
    let output = run.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ok 7 - "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agrees_with_itself_and_with_the_original() {
    self_test(&[]).await;
}

async fn meet(one: &Client, other: &Client, label: &str, collections: &[(&str, &str)]) {
    let offer = one.offer(label, collections).await;
    let answer = other.accept(label, collections, &offer).await;
    one.complete(label, &answer).await;
    for (kind, name) in collections {
        one.collection(kind, name).synchronized().await;
        other.collection(kind, name).synchronized().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn meets_a_page_by_hand() {
    let (Some(node), Some(page)) = (Client::start().await, Client::start_page().await) else {
        return;
    };
    let people = [&node.create_author().await, &page.create_author().await];
    meet(&node, &page, "keys", &CREDENTIALS).await;
    let team = team_of(&node, &page, people).await;
    let collections = [(MUTABLE, "notes"), (VERSIONED, "notes")];
    for client in [&node, &page] {
        for (kind, name) in collections {
            client.open_alone(kind, name).await;
        }
    }
    let ours = collections.map(|(kind, name)| node.collection(kind, name));
    let theirs = collections.map(|(kind, name)| page.collection(kind, name));
    ours[0].store("a", "of node").await;
    node.reset_counts().await;
    meet(&page, &node, "table", &collections).await;
    assert_eq!(node.moved().await, 2, "one get, one put");
    theirs[0].shows("a", "of node").await;
    theirs[1].store("v", "of a page").await;
    ours[1].shows("v", "of a page").await;
    ours[0].remove("a").await;
    theirs[0].lacks("a").await;

    let stolen = json!({"tag": "v", "data": "of somebody else"});
    assert_eq!(
        ours[1].store_with(stolen).await,
        Err("not the owner".into())
    );
    assert_eq!(ours[1].versions("v").await.chain.len(), 1);

    let sealed = json!({"tag": "s", "data": "sealed", "owner": team, "encryption": team});
    ours[1].store_with(sealed).await.unwrap();
    theirs[1].shows("s", "sealed").await;
    let found = theirs[1].retrieve("s").await.unwrap();
    assert_eq!((&found.owner, &found.author), (&team, &people[0].tag));
}
