//! What stands is a replay of what was appended, at any generation and time.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use deployix_core::{
    Fqdn, HistoryId, ResourceId,
    backend::{Inputs, Owner, Resource},
    history::{Heads, IntentAction, Record, RunId, StepResult},
    topology::Assignment,
};
use proptest::prelude::*;

use crate::support::{Mishap, Moody, holder, memory, name, note, open};

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        "[a-c]".prop_map(|text| Owner::Functionality(name(&text))),
        ("[a-c]", "[a-c]")
            .prop_map(|(a, b)| Owner::Edge { consumer: name(&a), provider: name(&b) }),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    ("[a-d]", owner(), "[a-z\"\\\\\n\u{e4}]{0,9}").prop_map(|(id, owner, value)| {
        let id = ResourceId::new(format!("memory/{id}")).unwrap();
        Resource::new(id, owner, Inputs::from([("value".to_owned(), value.into())]), [])
    })
}

fn run() -> impl Strategy<Value = RunId> {
    (0..3).prop_map(|run| serde_json::from_value(format!("{run:016}").into()).unwrap())
}

fn history() -> impl Strategy<Value = HistoryId> {
    "[a-c]".prop_map(|digit| HistoryId::new(digit.repeat(32)).unwrap())
}

fn record() -> impl Strategy<Value = Record> {
    let until = || (0..1_000_000_000_i64).prop_map(|s| jiff::Timestamp::from_second(s).unwrap());
    let claims = || prop::collection::btree_set(owner(), 0..4);
    let action = prop_oneof![Just(IntentAction::Make), Just(IntentAction::Remove)];
    let result = prop_oneof![
        Just(StepResult::Made { outputs: BTreeMap::new() }),
        Just(StepResult::Made { outputs: BTreeMap::from([("ip".into(), "10.0.0.1".into())]) }),
        Just(StepResult::Removed),
        any::<bool>().prop_map(|as_it_was| StepResult::Failed { error: "no".into(), as_it_was }),
    ];
    let assignment = prop::option::of(("[a-c]", 1..3_u32, any::<bool>()).prop_map(
        |(target, replicas, reaches)| {
            let mut assignment = Assignment::new(name(&target), [0]);
            assignment.replicas = NonZeroU32::new(replicas).unwrap();
            if reaches {
                let upstream = Fqdn::new(format!("{target}.example.com")).unwrap();
                assignment.upstreams.insert(upstream, name("d"));
            }
            assignment
        },
    ));
    prop_oneof![
        (run(), until(), claims()).prop_map(|(run, until, claims)| Record::Begin {
            run,
            by: holder(),
            until,
            claims
        }),
        (run(), until()).prop_map(|(run, until)| Record::Renew { run, until }),
        (run(), claims()).prop_map(|(run, claims)| Record::Release { run, claims }),
        run().prop_map(|run| Record::End { run }),
        (run(), action, resource()).prop_map(|(run, action, resource)| Record::Intent {
            run,
            action,
            resource,
            target: name("box")
        }),
        (run(), resource(), result).prop_map(|(run, resource, result)| Record::Outcome {
            run,
            resource: resource.id().clone(),
            result
        }),
        ("[a-c]", assignment).prop_map(|(name, assignment)| Record::Placed {
            assignments: BTreeMap::from([(crate::support::name(&name), assignment)])
        }),
        history().prop_map(|history| Record::Identity { history }),
        history().prop_map(|history| Record::TakeOver { by: holder(), history }),
        (
            prop::collection::vec((resource(), owner()), 0..3),
            prop::collection::btree_set("[a-c]", 0..3)
        )
            .prop_map(|(resources, names)| Record::Forgotten {
                by: holder(),
                target: name("box"),
                resources: resources
                    .into_iter()
                    .map(|(it, owner)| (it.id().clone(), owner))
                    .collect(),
                functionalities: names.iter().map(|text| name(text)).collect(),
            }),
        ".{0,20}".prop_map(note),
        // So large that checkpoints are due.
        Just(note("x".repeat(200 << 10))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_stood_at_a_generation_is_what_was_seen_then(
        entries in prop::collection::vec(prop::collection::vec(record(), 1..5), 1..30)
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let moody = Moody::default();
            let store = moody.store();
            let writers = [open(&store).await, open(&store).await];
            // One that knows all that stands and proposes, and one that only appends.
            let mut seen: Vec<Heads> = vec![writers[0].heads().await.unwrap()];
            for (count, records) in entries.iter().enumerate() {
                let generation = if count % 3 == 2 {
                    writers[1].append(records.clone()).await.unwrap()
                } else {
                    let records = records.clone();
                    let propose = move |_: &Heads| (records.clone(), ());
                    writers[0].append_with(propose).await.unwrap().1
                };
                prop_assert_eq!(generation, count as u64 + 1);
                // By somebody who reads it all.
                seen.push(writers[0].heads().await.unwrap());
            }
            let late = open(&store).await;
            let newest = seen.last().unwrap();
            prop_assert_eq!(&late.heads().await.unwrap(), newest);
            prop_assert_eq!(&writers[1].heads().await.unwrap(), newest);
            for (generation, heads) in seen.iter().enumerate() {
                prop_assert_eq!(&late.up_to(generation as u64).await.unwrap(), heads);
            }
            let read: Vec<_> =
                late.entries(0).await.unwrap().into_iter().map(|entry| entry.records).collect();
            prop_assert_eq!(read, entries);
            Ok(())
        })?;
    }

    #[test]
    fn what_was_proposed_in_vain_leaves_nothing(
        before in prop::collection::vec(record(), 0..20),
        vain in prop::collection::vec(record(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let moody = Moody::default();
            let history = open(&moody.store()).await;
            history.append(before).await.unwrap();
            let heads = history.heads().await.unwrap();
            moody.next([Mishap::Refused; 5]);
            let propose = move |_: &Heads| (vain.clone(), ());
            history.append_with(propose).await.unwrap_err();
            prop_assert_eq!(history.heads().await.unwrap(), heads);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn what_stood_at_a_time_is_that_after_the_newest_entry_until_then() {
    let history = open(&memory()).await;
    for count in 0..150 {
        if count % 50 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        history.append(vec![note(count.to_string())]).await.unwrap();
    }
    let entries = history.entries(0).await.unwrap();
    for entry in entries.iter().step_by(7).chain(entries.last()) {
        let newest = entries.iter().rev().find(|other| other.at <= entry.at).unwrap();
        let heads = history.at(entry.at).await.unwrap();
        assert_eq!(heads.generation, newest.position);
    }
    let first = entries[0].at;
    let before = first - jiff::SignedDuration::from_millis(1);
    assert_eq!(history.at(before).await.unwrap(), Heads::default());
    let after = entries[149].at + jiff::SignedDuration::from_hours(1);
    assert_eq!(history.at(after).await.unwrap().generation, 150);
}

#[tokio::test]
async fn the_generation_in_which_other_outputs_came_is_known_until_the_next() {
    let history = open(&memory()).await;
    let id = ResourceId::new("memory/a").unwrap();
    let owner = Owner::Functionality(name("a"));
    let resource = Resource::new(id.clone(), owner, Inputs::new(), []);
    let run: RunId = serde_json::from_value("0000000000000001".into()).unwrap();
    let made = async |address: &str| {
        let intent = Record::Intent {
            run: run.clone(),
            action: IntentAction::Make,
            resource: resource.clone(),
            target: name("box"),
        };
        let outputs = BTreeMap::from([("address".to_owned(), address.to_owned())]);
        let result = StepResult::Made { outputs };
        let outcome = Record::Outcome { run: run.clone(), resource: id.clone(), result };
        history.append(vec![intent]).await.unwrap();
        history.append(vec![outcome]).await.unwrap();
        history.heads().await.unwrap().resources[&id].outputs_since
    };
    assert_eq!(made("10.0.0.1").await, None, "nobody knows others");
    assert_eq!(made("10.0.0.1").await, None);
    assert_eq!(made("10.0.0.2").await, Some(6));
    assert_eq!(made("10.0.0.2").await, Some(6));
    assert_eq!(made("10.0.0.1").await, Some(10));
}

#[test]
fn claims_are_kept_in_order() {
    // What is stored is ordered, so that two entries that say the same are alike.
    let claims: BTreeSet<_> = ["b", "a"].map(|text| Owner::Functionality(name(text))).into();
    let text = serde_json::to_string(&claims).unwrap();
    assert_eq!(text, r#"[{"functionality":"a"},{"functionality":"b"}]"#);
}
