#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! A history in S3, as moto's server speaks it.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Instant,
};

use deployix_core::{
    Digest, Name,
    history::{Entry, Heads, History, HistoryError, Holder, Record, store_with},
};
use object_store::ObjectStore;

fn server() -> String {
    std::env::var("DEPLOYIX_MOTO").expect("scripts/test starts moto's server")
}

/// A bucket of a test's own.
fn bucket(name: &str) -> Arc<dyn ObjectStore> {
    let server = server();
    let address = server.strip_prefix("http://").unwrap();
    let bucket = format!("{name}-{}", std::process::id());
    let mut connection = TcpStream::connect(address).unwrap();
    let request = format!(
        "PUT /{bucket} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    in_bucket(&bucket)
}

fn in_bucket(bucket: &str) -> Arc<dyn ObjectStore> {
    let server = server();
    let variables = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", &server),
        ("AWS_PAGER", ""),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let url = format!("s3://{bucket}/all/histories");
    store_with(&url, Path::new(""), &BTreeMap::from(variables)).unwrap()
}

async fn open(store: &Arc<dyn ObjectStore>) -> History {
    History::open(Arc::clone(store), &Name::new("shop").unwrap()).await.unwrap()
}

fn note(text: String) -> Record {
    Record::Note { by: Holder::current(), text }
}

/// The texts of all notes, in order.
fn notes(entries: &[Entry]) -> Vec<&str> {
    let records = entries.iter().flat_map(|entry| &entry.records);
    records
        .filter_map(|record| match record {
            Record::Note { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_history_in_s3_is_like_any_other() {
    let store = bucket("like-any-other");
    let (one, two) = (open(&store).await, open(&store).await);
    assert_eq!(one.heads().await.unwrap(), Heads::default());
    assert_eq!(one.append(vec![note("a".into())]).await.unwrap(), 1);
    assert_eq!(two.append(vec![note("b".into())]).await.unwrap(), 2);
    let seen = one.append_with(|heads| (vec![note("c".into())], heads.generation)).await.unwrap();
    assert_eq!(seen, (2, 3));
    assert_eq!(notes(&two.entries(0).await.unwrap()), ["a", "b", "c"]);
    let digest = one.put_content("FROM debian".into()).await.unwrap();
    assert_eq!(one.put_content("FROM debian".into()).await.unwrap(), digest);
    assert_eq!(two.content(digest).await.unwrap().unwrap(), "FROM debian");
    assert_eq!(two.content(Digest::of_bytes(b"")).await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_empty_history() {
    let store = in_bucket("nobody-made-this");
    let error = History::open(store, &Name::new("shop").unwrap()).await.unwrap_err();
    assert!(matches!(error, HistoryError::Store { operation: "cannot list", .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_32_writers_is_lost_doubled_or_reordered() {
    const WRITERS: u32 = 32;
    const EACH: u32 = 200;
    let store = bucket("writers");
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        // Each with a history of its own, as if it were another process.
        let history = open(&store).await;
        tasks.spawn(async move {
            for count in 0..EACH {
                history.append(vec![note(format!("{writer} {count}"))]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    println!("{} entries in {:?}", WRITERS * EACH, start.elapsed());

    let entries = open(&store).await.entries(0).await.unwrap();
    let positions: Vec<_> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, (1..=u64::from(WRITERS * EACH)).collect::<Vec<_>>());
    let notes = notes(&entries);
    for writer in 0..WRITERS {
        let own = notes.iter().filter_map(|note| note.strip_prefix(&format!("{writer} ")));
        let own: Vec<u32> = own.map(|count| count.parse().unwrap()).collect();
        assert_eq!(own, (0..EACH).collect::<Vec<_>>());
    }
}
