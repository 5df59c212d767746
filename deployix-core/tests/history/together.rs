//! What is appended by one entry, and proposals that get in each other's way.

use std::collections::BTreeSet;

use deployix_core::{
    backend::Owner,
    history::{Heads, Record, RunId},
};
use tokio::task::JoinSet;

use crate::support::{holder, memory, name, note, notes, open};

/// Begins a run that claims something, unless another run does.
fn claim(owner: &str) -> impl FnMut(&Heads) -> (Vec<Record>, Option<RunId>) + Send + use<> {
    let owner = Owner::Functionality(name(owner));
    move |heads| {
        if heads.runs.values().any(|run| run.claims.contains(&owner)) {
            return (vec![], None);
        }
        let run = RunId::new(&holder());
        let claims = BTreeSet::from([owner.clone()]);
        let until = "2100-01-01T00:00:00Z".parse().unwrap();
        let begin = Record::Begin { run: run.clone(), by: holder(), until, claims };
        (vec![begin], Some(run))
    }
}

#[tokio::test]
async fn of_many_who_claim_the_same_at_once_one_gets_it() {
    let store = memory();
    // Some share a history, others have one of their own.
    let histories = [open(&store).await, open(&store).await, open(&store).await];
    let mut tasks = JoinSet::new();
    for count in 0..60 {
        let history = histories[count % 3].clone();
        let owner = if count % 2 == 0 { "web" } else { "db" };
        tasks.spawn(async move { history.append_with(claim(owner)).await.unwrap().0 });
    }
    let runs: Vec<RunId> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(runs.len(), 2, "one for each");
    let heads = histories[0].heads().await.unwrap();
    assert_eq!(heads.runs.keys().cloned().collect::<BTreeSet<_>>(), BTreeSet::from_iter(runs));
    let entries = histories[0].entries(0).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.records.len()).sum::<usize>(), 2);
}

#[tokio::test]
async fn what_is_appended_at_once_is_appended_together() {
    let history = open(&memory()).await;
    let mut tasks = JoinSet::new();
    for each in 0..100_u32 {
        let history = history.clone();
        tasks.spawn(async move { history.append(vec![note(each.to_string())]).await.unwrap() });
    }
    let generations = tasks.join_all().await;
    let entries = history.entries(0).await.unwrap();
    assert_eq!(generations.iter().max().copied(), Some(entries.len() as u64));
    assert!(entries.len() < 10, "{}", entries.len());
    assert_eq!(notes(&entries).len(), 100);
}

#[tokio::test]
async fn a_proposal_sees_what_was_proposed_before_it_in_the_same_entry() {
    let history = open(&memory()).await;
    let both = tokio::join!(
        history.append_with(claim("web")),
        history.append_with(|heads| (vec![note(heads.runs.len().to_string())], heads.runs.len())),
        history.append_with(|heads| (vec![], heads.runs.len())),
    );
    let (run, one) = both.0.unwrap();
    assert!(run.is_some());
    assert_eq!((one, both.1.unwrap(), both.2.unwrap()), (1, (1, 1), (1, 1)));
    assert_eq!(history.entries(0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_proposal_is_made_on_the_newest_state() {
    let store = memory();
    let (one, two) = (open(&store).await, open(&store).await);
    assert_eq!(one.append_with(|heads| (vec![], heads.generation)).await.unwrap(), (0, 0));
    for _ in 0..50 {
        two.append(vec![note("a")]).await.unwrap();
    }
    assert_eq!(one.append_with(|heads| (vec![], heads.generation)).await.unwrap(), (50, 50));
    assert_eq!(one.append(vec![]).await.unwrap(), 50);
}
