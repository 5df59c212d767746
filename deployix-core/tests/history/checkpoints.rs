//! Checkpoints: they spare reading, and nothing depends on them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use deployix_core::history::{HistoryError, store};
use object_store::{ObjectStoreExt, path::Path as Key};

use crate::support::{Moody, note, notes, open, try_open};

/// A note that is worth a checkpoint or two.
fn large() -> Vec<deployix_core::history::Record> {
    vec![note("x".repeat(600 << 10))]
}

#[tokio::test]
async fn what_is_before_a_checkpoint_is_not_read_again() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    history.heads().await.unwrap();
    for count in 0..5 {
        history.append(vec![note(count.to_string())]).await.unwrap();
    }
    history.append(large()).await.unwrap();
    for count in 6..10 {
        history.append(vec![note(count.to_string())]).await.unwrap();
    }
    let checkpoint = Key::from("shop/checkpoints/00000000000000000006.json");
    assert!(store.puts().contains(&checkpoint));
    store.reads();
    let heads = open(&store.store()).await.heads().await.unwrap();
    let read = store.reads();
    assert!(read.contains(&checkpoint), "{read:?}");
    assert!(!read.contains(&Key::from("shop/log/00000000000000000005.json")), "{read:?}");
    assert_eq!(heads, history.heads().await.unwrap());

    // Absent, all is read.
    store.store().delete(&checkpoint).await.unwrap();
    let without = open(&store.store()).await;
    assert_eq!(without.heads().await.unwrap(), heads);
    assert_eq!(without.up_to(7).await.unwrap(), history.up_to(7).await.unwrap());
    assert_eq!(notes(&without.entries(6).await.unwrap()), ["6", "7", "8", "9"]);
}

#[tokio::test]
async fn checkpoints_are_written_as_seldom_as_their_size_asks_for() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    history.heads().await.unwrap();
    for _ in 0..2000 {
        history.append(vec![note("small")]).await.unwrap();
    }
    let puts = store.puts();
    let checkpoints = puts.iter().filter(|path| path.as_ref().contains("checkpoints")).count();
    assert!((5..30).contains(&checkpoints), "{checkpoints}");
}

/// Where the checkpoint after the first entry is, once it is there: nobody waits for it to be.
async fn first_checkpoint(folder: &Path) -> PathBuf {
    let path = folder.join("history/shop/checkpoints/00000000000000000001.json");
    let wait = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    path
}

#[tokio::test]
async fn a_damaged_checkpoint_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = store("file:history", folder.path()).unwrap();
    let history = open(&store).await;
    history.heads().await.unwrap();
    history.append(large()).await.unwrap();
    history.append(vec![note("after")]).await.unwrap();
    let path = first_checkpoint(folder.path()).await;
    let whole = fs::read_to_string(&path).unwrap();
    let newer = "{\"format\":2}\n".to_owned();
    let edited = whole.replace("\"generation\":1", "\"generation\":2");
    for damaged in [String::new(), whole[..40].to_owned(), edited, newer] {
        assert_ne!(damaged, whole);
        fs::write(&path, damaged).unwrap();
        let error = open(&store).await.heads().await.unwrap_err().to_string();
        assert!(error.contains("shop/checkpoints/00000000000000000001.json"), "{error}");
        assert!(error.contains("remove it") || error.contains("is of format 2"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    open(&store).await.heads().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_whose_log_was_taken_away_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = store("file:history", folder.path()).unwrap();
    let history = open(&store).await;
    history.heads().await.unwrap();
    history.append(large()).await.unwrap();
    first_checkpoint(folder.path()).await;
    history.append(vec![note("after")]).await.unwrap();
    fs::remove_dir_all(folder.path().join("history/shop/log")).unwrap();
    let error = try_open(&store).await.unwrap_err();
    assert!(matches!(error, HistoryError::Missing { .. }), "{error:?}");
    assert!(error.to_string().starts_with("shop/log/00000000000000000001.json"), "{error}");
}

#[tokio::test]
async fn a_checkpoint_of_another_history_is_told() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        let history = open(&store("file:history", folder.path()).unwrap()).await;
        history.heads().await.unwrap();
        history.append(large()).await.unwrap();
    }
    let [one, other] = &folders;
    let from = first_checkpoint(other.path()).await;
    fs::copy(from, first_checkpoint(one.path()).await).unwrap();
    let store = store("file:history", one.path()).unwrap();
    let error = open(&store).await.heads().await.unwrap_err();
    assert!(error.to_string().contains("shop/checkpoints/"), "{error}");
    open(&store).await.append(vec![note("after")]).await.unwrap();
    open(&store).await.heads().await.unwrap_err();
}
