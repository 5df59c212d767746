//! Histories that were damaged: told by name, and nothing is overwritten.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use deployix_core::history::{History, HistoryError, store};
use object_store::ObjectStore;
use tempfile::TempDir;

use crate::support::{name, note, notes, open, try_open};

/// A history of five entries in a folder.
struct Folder {
    folder: TempDir,
    store: Arc<dyn ObjectStore>,
}

impl Folder {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store("file:history", folder.path()).unwrap();
        let history = open(&store).await;
        for count in 1..=5 {
            history.append(vec![note(format!("note {count}"))]).await.unwrap();
        }
        Self { folder, store }
    }

    fn entry(&self, position: u64) -> PathBuf {
        self.folder.path().join(format!("history/shop/log/{position:020}.json"))
    }

    fn read(&self, position: u64) -> String {
        fs::read_to_string(self.entry(position)).unwrap()
    }

    fn write(&self, position: u64, text: impl AsRef<[u8]>) {
        fs::write(self.entry(position), text).unwrap();
    }

    /// Everything is tried: reading and appending, by whoever opens it now and whoever had it open.
    async fn refused(&self, before: &History, at: u64) -> String {
        let files = files(self.folder.path());
        let mut errors = Vec::new();
        match try_open(&self.store).await {
            Ok(now) => {
                errors.push(now.heads().await.unwrap_err());
                errors.push(now.entries(0).await.unwrap_err());
                errors.push(now.up_to(5).await.unwrap_err());
                errors.push(now.append_with(|_| (vec![note("x")], ())).await.unwrap_err());
            }
            Err(error) => errors.push(error),
        }
        errors.push(before.entries(0).await.unwrap_err());
        let first = errors[0].to_string();
        for error in errors {
            let error = error.to_string();
            assert!(error.contains(&format!("shop/log/{at:020}.json")), "{error}");
            assert!(
                error.contains("nothing was overwritten") || error.contains("newer"),
                "{error}"
            );
        }
        assert_eq!(files, self::files(self.folder.path()), "nothing was written");
        first
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

#[tokio::test]
async fn an_entry_that_was_cut_off_or_edited_is_told_wherever_it_is() {
    let folder = Folder::new().await;
    let history = open(&folder.store).await;
    for position in [1, 3, 5] {
        let whole = folder.read(position);
        let halves = (0..whole.len()).step_by(7).map(|end| whole[..end].to_owned());
        let edits = [
            whole.replace("note ", "mote "),
            whole.replace("\"at\":\"20", "\"at\":\"19"),
            whole.replace("\"process\":1", "\"process\":12"),
            whole.replacen(' ', "  ", 1),
            format!("{whole}\n"),
            format!("{whole}{}", whole.lines().nth(1).unwrap()),
            whole.lines().next().unwrap().to_owned() + "\n",
            format!("\n{whole}"),
            "{}".to_owned(),
            "no JSON\n".to_owned(),
        ];
        for damaged in halves.chain(edits) {
            assert_ne!(damaged, whole);
            folder.write(position, &damaged);
            folder.refused(&history, position).await;
        }
        folder.write(position, b"\xff\xfe\x00\n\xff");
        folder.refused(&history, position).await;
        folder.write(position, whole);
    }
    assert_eq!(notes(&history.entries(0).await.unwrap()).len(), 5, "put back, all is well");
}

#[tokio::test]
async fn an_entry_that_was_exchanged_is_told_by_the_next_one() {
    let folder = Folder::new().await;
    let history = open(&folder.store).await;
    // As good as the true one, but for not being it.
    let (own, other) = (folder.read(3), Folder::new().await);
    folder.write(3, other.read(3));
    let error = folder.refused(&history, 3).await;
    assert!(error.contains("written neither after"), "{error}");
    // Of the first and the last two, the one before is blamed, which is as likely.
    folder.write(3, own);
    folder.write(1, other.read(1));
    let error = folder.refused(&history, 1).await;
    assert!(error.contains("00000000000000000002.json was written after another one"), "{error}");
}

#[tokio::test]
async fn an_entry_of_another_place_is_told() {
    let folder = Folder::new().await;
    let history = open(&folder.store).await;
    let own = folder.read(5);
    folder.write(5, folder.read(4));
    let error = folder.refused(&history, 5).await;
    assert!(error.contains("it is the entry of position 4"), "{error}");
    folder.write(5, own);

    let bakery = History::open(Arc::clone(&folder.store), &name("bakery")).await.unwrap();
    bakery.append(vec![note("bread")]).await.unwrap();
    let other = folder.folder.path().join("history/bakery/log/00000000000000000001.json");
    folder.write(1, fs::read(other).unwrap());
    let error = folder.refused(&history, 1).await;
    assert!(error.contains("it is of the deployment bakery"), "{error}");
}

#[tokio::test]
async fn an_entry_of_a_newer_format_asks_for_a_newer_version() {
    let folder = Folder::new().await;
    let history = open(&folder.store).await;
    folder.write(5, "{\"format\":2,\"whatever\":[]}\n");
    let error = folder.refused(&history, 5).await;
    assert!(error.contains("is of format 2, and this version reads format 1 only"), "{error}");
    assert!(matches!(try_open(&folder.store).await, Err(HistoryError::Newer { format: 2, .. })));
}

#[tokio::test]
async fn a_missing_entry_is_told() {
    for position in 1..5 {
        let folder = Folder::new().await;
        let history = open(&folder.store).await;
        fs::remove_file(folder.entry(position)).unwrap();
        let error = folder.refused(&history, position).await;
        assert!(error.contains("is missing"), "{error}");
        let error = try_open(&folder.store).await.unwrap_err();
        assert!(matches!(error, HistoryError::Missing { .. }), "{error}");
    }
}

#[tokio::test]
async fn whoever_has_it_open_appends_nothing_after_a_damaged_entry() {
    let folder = Folder::new().await;
    let history = open(&folder.store).await;
    folder.write(6, "half of an en");
    let error = history.append(vec![note("x")]).await.unwrap_err();
    assert!(error.to_string().contains("00000000000000000006.json"), "{error}");
    assert_eq!(folder.read(6), "half of an en");
}

#[tokio::test]
async fn what_a_crash_leaves_beside_the_entries_is_ignored() {
    let folder = Folder::new().await;
    let beside = ["6.json#1", "00000000000000000006.json#1", "00000000000000000006.json.swp"];
    for name in beside {
        fs::write(folder.entry(1).with_file_name(name), "{\"form").unwrap();
    }
    let history = open(&folder.store).await;
    assert_eq!(history.append(vec![note("note 6")]).await.unwrap(), 6);
    let again = open(&folder.store).await;
    assert_eq!(notes(&again.entries(0).await.unwrap()).len(), 6);
    assert_eq!(again.heads().await.unwrap().generation, 6);
}

#[tokio::test]
async fn a_content_that_was_edited_or_cut_off_is_told() {
    let folder = Folder::new().await;
    let history = open(&folder.store).await;
    let digest = history.put_content("FROM debian".into()).await.unwrap();
    let digits = digest.to_string();
    let inside = format!("shop/contents/{}/{digits}", &digits[..2]);
    let path = folder.folder.path().join("history").join(&inside);
    for damaged in ["", "FROM debia", "FROM ubuntu"] {
        fs::write(&path, damaged).unwrap();
        let error = history.content(digest).await.unwrap_err();
        assert!(matches!(error, HistoryError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&inside), "{error}");
    }
    fs::write(&path, "FROM").unwrap();
    let error = history.put_content("FROM debian".into()).await.unwrap_err();
    assert!(error.to_string().contains(&inside), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "FROM");
}

#[tokio::test]
async fn a_generation_that_is_not_there_is_told() {
    let folder = Folder::new().await;
    let error = open(&folder.store).await.up_to(6).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no generation 6; the history has come to 5");
}
