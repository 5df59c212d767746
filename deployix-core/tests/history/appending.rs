//! Appending, by one and by many.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use deployix_core::{
    Digest,
    history::{Heads, store},
};
use object_store::ObjectStore;

use crate::support::{memory, note, notes, open};

#[tokio::test]
async fn a_history_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory(), store("file:history", folder.path()).unwrap()] {
        let history = open(&store).await;
        assert_eq!(history.heads().await.unwrap(), Heads::default());
        assert_eq!(history.entries(0).await.unwrap(), []);
    }
    assert!(!folder.path().join("history").exists(), "nothing was written");
}

#[tokio::test]
async fn what_is_appended_is_read_by_others_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory(), store("file:history", folder.path()).unwrap()] {
        let (one, two) = (open(&store).await, open(&store).await);
        assert_eq!(one.append(vec![note("a")]).await.unwrap(), 1);
        assert_eq!(two.append(vec![note("b")]).await.unwrap(), 2);
        let seen = one.append_with(|heads| (vec![note("c")], heads.generation)).await.unwrap();
        assert_eq!(seen, (2, 3));
        let nothing = two.append_with(|heads| (vec![], heads.generation)).await.unwrap();
        assert_eq!(nothing, (3, 3));
        assert_eq!(notes(&two.entries(0).await.unwrap()), ["a", "b", "c"]);
        assert_eq!(notes(&open(&store).await.entries(1).await.unwrap()), ["b", "c"]);
        assert_eq!(one.heads().await.unwrap(), two.up_to(3).await.unwrap());
    }
    let entry = folder.path().join("history/shop/log/00000000000000000002.json");
    let entry = std::fs::read_to_string(entry).unwrap();
    assert_eq!(entry.lines().count(), 2, "{entry}");
}

#[tokio::test]
async fn contents_are_kept_under_their_digest() {
    let history = open(&memory()).await;
    let content = Bytes::from_static(b"FROM debian");
    let digest = history.put_content(content.clone()).await.unwrap();
    assert_eq!(history.put_content(content.clone()).await.unwrap(), digest);
    assert_eq!(history.content(digest).await.unwrap(), Some(content));
    assert_eq!(history.content(Digest::of_bytes(b"x")).await.unwrap(), None);
}

/// Writers of their own, each appending one after the other.
async fn write_side_by_side(store: Arc<dyn ObjectStore>, writers: u32, each: u32) {
    let (start, all) = (Instant::now(), u64::from(writers * each));
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let history = open(&store).await;
        tasks.spawn(async move {
            for count in 0..each {
                history.append(vec![note(format!("{writer} {count}"))]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    println!("{all} entries in {:?}", start.elapsed());
    let entries = open(&store).await.entries(0).await.unwrap();
    let positions: Vec<_> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, (1..=all).collect::<Vec<_>>());
    let notes = notes(&entries);
    for writer in 0..writers {
        let own = notes.iter().filter_map(|note| note.strip_prefix(&format!("{writer} ")));
        let own: Vec<u32> = own.map(|count| count.parse().unwrap()).collect();
        assert_eq!(own, (0..each).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_of_32_writers_is_lost_doubled_or_reordered() {
    write_side_by_side(memory(), 32, 200).await;
    let folder = tempfile::tempdir().unwrap();
    write_side_by_side(store("file:history", folder.path()).unwrap(), 32, 200).await;
}
