//! What the tests write.

use std::sync::Arc;

use deployix_core::{
    Name,
    history::{Entry, History, Holder, Record},
};
use object_store::{ObjectStore, memory::InMemory};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn holder() -> Holder {
    Holder { name: "ann".into(), host: "desk".into(), process: 1, incarnation: None }
}

pub(crate) fn note(text: impl Into<String>) -> Record {
    Record::Note { by: holder(), text: text.into() }
}

pub(crate) fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

pub(crate) async fn open(store: &Arc<dyn ObjectStore>) -> History {
    History::open(Arc::clone(store), &name("shop")).await.unwrap()
}

/// The texts of all notes, in order.
pub(crate) fn notes(entries: &[Entry]) -> Vec<&str> {
    let records = entries.iter().flat_map(|entry| &entry.records);
    records
        .filter_map(|record| match record {
            Record::Note { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}
