//! Stores that fail, and what is asked of them.

use std::{sync::Arc, time::Duration};

use deployix_core::history::{Heads, History, HistoryError};
use object_store::{
    ObjectStore,
    memory::InMemory,
    throttle::{ThrottleConfig, ThrottledStore},
};
use tokio::runtime::Runtime;

use crate::support::{Mishap, Moody, name, note, notes, open};

#[tokio::test(start_paused = true)]
async fn an_entry_whose_put_failed_is_written_once() {
    for mishap in [Mishap::Refused, Mishap::PutAndFailed, Mishap::PutAndTaken] {
        let store = Moody::default();
        let (one, two) = (open(&store.store()).await, open(&store.store()).await);
        one.append(vec![note("a")]).await.unwrap();
        store.next([mishap]);
        assert_eq!(one.append(vec![note("b")]).await.unwrap(), 2, "{mishap:?}");
        store.next([mishap]);
        let seen = one.append_with(|heads| (vec![note("c")], heads.generation)).await.unwrap();
        assert_eq!(seen, (2, 3), "{mishap:?}");
        assert_eq!(two.append(vec![note("d")]).await.unwrap(), 4);
        assert_eq!(notes(&two.entries(0).await.unwrap()), ["a", "b", "c", "d"], "{mishap:?}");
        assert_eq!(one.heads().await.unwrap(), two.heads().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_put_failed_and_whose_place_was_taken_goes_to_the_next_one() {
    let store = Moody::default();
    let (one, two) = (open(&store.store()).await, open(&store.store()).await);
    two.append(vec![note("first")]).await.unwrap();
    // Where `one` tries, something stands; the store only says that it failed.
    store.next([Mishap::Refused]);
    assert_eq!(one.append(vec![note("second")]).await.unwrap(), 2);
    assert_eq!(notes(&one.entries(0).await.unwrap()), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_on_failing_is_told_and_may_come_back() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    history.heads().await.unwrap();
    store.next([Mishap::Refused; 5]);
    let error = history.append_with(|_| (vec![note("a")], ())).await.unwrap_err();
    assert!(matches!(error, HistoryError::Store { operation: "cannot write", .. }), "{error:?}");
    assert_eq!(error.to_string(), "cannot write shop/log/00000000000000000001.json");
    assert_eq!(history.heads().await.unwrap(), Heads::default(), "nothing of it is left");
    assert_eq!(history.append(vec![note("b")]).await.unwrap(), 1);
    assert_eq!(notes(&history.entries(0).await.unwrap()), ["b"]);
}

#[tokio::test]
async fn appending_to_a_long_history_reads_its_last_entry_alone() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    for count in 0..100 {
        history.append(vec![note(count.to_string())]).await.unwrap();
    }
    store.reads();
    let another = open(&store.store()).await;
    let mut read = store.reads();
    read.dedup();
    assert_eq!(read, ["shop/log/00000000000000000100.json".into()]);
    store.puts();
    assert_eq!(another.append(vec![note("x")]).await.unwrap(), 101);
    assert_eq!(store.reads(), []);
    assert_eq!(store.puts(), ["shop/log/00000000000000000101.json".into()]);
    // The other one tries, looks for the end and reads what is there.
    for count in 0..20 {
        another.append(vec![note(count.to_string())]).await.unwrap();
    }
    store.reads();
    assert_eq!(history.append(vec![note("y")]).await.unwrap(), 122);
    assert!(store.reads().len() < 20, "not each of what was added");
}

#[tokio::test]
async fn a_content_that_is_there_is_not_written_again() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    let digest = history.put_content("FROM debian".into()).await.unwrap();
    assert_eq!(store.puts().len(), 1);
    let another = open(&store.store()).await;
    assert_eq!(another.put_content("FROM debian".into()).await.unwrap(), digest);
    assert_eq!(store.puts(), []);
    let digits = digest.to_string();
    let path = format!("shop/contents/{}/{digits}", &digits[..2]);
    store.reads();
    another.content(digest).await.unwrap().unwrap();
    assert_eq!(store.reads(), [path.into()]);
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_stops_nobody_else() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    store.next([Mishap::Slow(Duration::from_secs(10))]);
    let leading = history.append(vec![note("a")]);
    let waiting = history.append(vec![note("b")]);
    let left = tokio::time::timeout(Duration::from_secs(1), leading).await;
    assert!(left.is_err(), "it takes longer");
    assert_eq!(waiting.await.unwrap(), 2);
    assert_eq!(notes(&history.entries(0).await.unwrap()), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_when_its_turn_comes_is_not_written() {
    let store = Moody::default();
    let history = open(&store.store()).await;
    store.next([Mishap::Slow(Duration::from_secs(10))]);
    let first = tokio::spawn({
        let history = history.clone();
        async move { history.append(vec![note("a")]).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let given_up = history.append(vec![note("b")]);
    tokio::time::timeout(Duration::from_secs(1), given_up).await.unwrap_err();
    first.await.unwrap();
    assert_eq!(history.append(vec![note("c")]).await.unwrap(), 2);
    assert_eq!(notes(&history.entries(0).await.unwrap()), ["a", "c"]);
}

#[test]
fn a_history_survives_the_runtime_that_was_writing() {
    let store = Moody::default();
    let first = Runtime::new().unwrap();
    let history = first.block_on(async { open(&store.store()).await });
    store.next([Mishap::Slow(Duration::from_secs(600))]);
    let told = std::thread::spawn({
        let history = history.clone();
        move || {
            let second = Runtime::new().unwrap();
            // Once the leader is at it, in the other runtime.
            std::thread::sleep(Duration::from_millis(200));
            second.block_on(history.append(vec![note("waiting")]))
        }
    });
    first.block_on(async {
        let propose = |_: &Heads| (vec![note("leading")], ());
        let leading = history.append_with(propose);
        tokio::time::timeout(Duration::from_millis(400), leading).await.unwrap_err();
    });
    first.shutdown_background();
    let told = told.join().unwrap();
    assert!(matches!(told, Err(HistoryError::Stopped)), "{told:?}");

    let third = Runtime::new().unwrap();
    third.block_on(async {
        assert_eq!(history.heads().await.unwrap(), Heads::default());
        assert_eq!(history.append(vec![note("after")]).await.unwrap(), 1);
        let again = History::open(store.store(), &name("shop")).await.unwrap();
        assert_eq!(notes(&again.entries(0).await.unwrap()), ["after"]);
    });
}

#[tokio::test]
async fn a_proposal_that_panics_stops_none_that_come_later() {
    let history = open(&Moody::default().store()).await;
    let panicking = history
        .append_with(|heads| {
            assert_eq!(heads.generation, 7, "so that it panics");
            (vec![note("a")], ())
        })
        .await;
    assert!(matches!(panicking, Err(HistoryError::Stopped)), "{panicking:?}");
    assert_eq!(history.append(vec![note("b")]).await.unwrap(), 1);
}

/// A store that takes its time, as one far away does.
fn far_away() -> Arc<dyn ObjectStore> {
    let wait = Duration::from_millis(20);
    let config = ThrottleConfig {
        wait_get_per_call: wait,
        wait_put_per_call: wait,
        wait_list_per_call: wait,
        ..ThrottleConfig::default()
    };
    Arc::new(ThrottledStore::new(InMemory::new(), config))
}

#[tokio::test(start_paused = true)]
async fn whoever_appends_all_the_time_lets_others_have_their_turn() {
    let store = far_away();
    let (busy, other) = (open(&store).await, open(&store).await);
    let appending = tokio::spawn(async move {
        loop {
            busy.append(vec![note("busy")]).await.unwrap();
        }
    });
    let mut waits = Vec::new();
    for count in 0..16 {
        // Nobody seemed to wait for a long time, or for a short one.
        tokio::time::sleep(Duration::from_secs(if count % 8 == 0 { 60 } else { 2 })).await;
        let start = tokio::time::Instant::now();
        other.append(vec![note("other")]).await.unwrap();
        waits.push(start.elapsed());
    }
    appending.abort();
    waits.sort();
    // Far below the time for which a run holds what it is at unless it tells that it goes on.
    assert!(waits[15] < Duration::from_secs(15), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn many_writers_far_away_get_along() {
    let store = far_away();
    let start = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..32 {
        let history = open(&store).await;
        tasks.spawn(async move {
            for count in 0..50 {
                history.append(vec![note(format!("{writer} {count}"))]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let (took, least) = (start.elapsed(), Duration::from_millis(20) * 32 * 50);
    assert!(took < least * 3, "{took:?} for what takes {least:?} at least");
    assert_eq!(open(&store).await.heads().await.unwrap().generation, 1600);
}
