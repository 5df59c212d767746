//! Whose what stands on a machine is.

use deployix_core::{
    Name,
    backend::{BackendError, Keeper},
};

use super::record::Record;

/// Refuses to touch what another history keeps. With no history nothing is told apart, and what says
/// nothing of one was put there before anything did.
pub(super) fn check<'r>(
    keeper: Option<&Keeper>,
    deployment: &Name,
    what: &str,
    records: impl IntoIterator<Item = &'r Record>,
) -> Result<(), BackendError> {
    let Some(keeper) = keeper else { return Ok(()) };
    let mut kept_by = records.into_iter().filter_map(|record| record.history.as_ref());
    match kept_by.find(|by| !keeper.keeps(Some(by))) {
        None => Ok(()),
        Some(by) => Err(BackendError::kept_by_another("look", deployment, what, by).as_it_was()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use deployix_core::{
        Digest, HistoryId, ResourceId,
        backend::{ErrorKind, Owner},
    };

    use super::*;

    fn id(digit: &str) -> HistoryId {
        HistoryId::new(digit.repeat(32)).unwrap()
    }

    fn record(history: Option<HistoryId>) -> Record {
        let id = ResourceId::new("nixos/rack1/system").unwrap();
        let owner = Owner::Target(Name::new("rack1").unwrap());
        let digest = Digest::of_bytes(b"it");
        Record::new(id, owner, digest, BTreeSet::new(), Vec::new()).kept_by(history.as_ref())
    }

    #[test]
    fn one_record_of_another_history_among_others_is_refused_with_its_id() {
        let shop = Name::new("shop").unwrap();
        let records = [record(None), record(Some(id("a"))), record(Some(id("b")))];
        let look = |keeper: Option<&Keeper>| check(keeper, &shop, "the system of rack1", &records);
        let error = look(Some(&Keeper::new(id("a"), []))).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("the system of rack1 of the deployment `shop`"), "{told}");
        assert!(told.contains(&format!("--take-over {}", id("b"))), "{told}");
        assert!(error.is_as_it_was() && error.kind() == ErrorKind::Conflict);
        assert!(look(Some(&Keeper::new(id("a"), [id("b")]))).is_ok());
        assert!(look(None).is_ok());
    }

    #[test]
    fn a_record_of_before_there_were_ids_is_read_and_of_nobody() {
        let now = record(Some(id("a")));
        let text = String::from_utf8(now.line()).unwrap();
        let of_before = text.replace(&format!(",\"history\":\"{}\"", id("a")), "");
        assert_ne!(of_before, text);
        let read = Record::read(of_before.lines(), "rack1").unwrap();
        assert_eq!(read, [record(None)]);
        assert_eq!(Record::read(text.lines(), "rack1").unwrap(), [now]);
    }
}
