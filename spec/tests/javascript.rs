//! The JavaScript client that the tests of the dialect use: it agrees with itself, with what the
//! original left, and with itself in a browser. Skipped where its packages are not there.
#![allow(clippy::unwrap_used, clippy::panic)] // a test

mod support;

use serde_json::json;
use support::javascript::{Client, MUTABLE, VERSIONED, packages, scripts};
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

#[tokio::test(flavor = "multi_thread")]
async fn meets_a_page_by_hand() {
    let (Some(node), Some(page)) = (Client::start().await, Client::start_page().await) else {
        return;
    };
    let collections = [(MUTABLE, "notes"), (VERSIONED, "notes")];
    for client in [&node, &page] {
        client.create_author().await;
        for (kind, name) in collections {
            client.open_alone(kind, name).await;
        }
    }
    node.collection(MUTABLE, "notes")
        .store("a", "of node")
        .await;
    let offer = page.offer("table", &collections).await;
    let answer = node.accept("table", &collections, &offer).await;
    page.complete("table", &answer).await;
    for (kind, name) in collections {
        node.collection(kind, name).synchronized().await;
        page.collection(kind, name).synchronized().await;
    }
    page.collection(MUTABLE, "notes")
        .shows("a", "of node")
        .await;
    page.collection(VERSIONED, "notes")
        .store("v", "of a page")
        .await;
    node.collection(VERSIONED, "notes")
        .shows("v", "of a page")
        .await;
    node.collection(MUTABLE, "notes").remove("a").await;
    page.collection(MUTABLE, "notes").lacks("a").await;
    let refused = node.collection(VERSIONED, "notes");
    let stolen = json!({"tag": "v", "data": "of somebody else"});
    assert_eq!(
        refused.store_with(stolen).await,
        Err("not the owner".into())
    );
    assert_eq!(refused.versions("v").await.chain.len(), 1);
}
