//! [`Keeper`]: the history that keeps what a deployment made.

use std::collections::BTreeSet;

use super::{BackendError, ErrorKind};
use crate::name::{HistoryId, Name};

/// The history on whose account a step is carried out: its id, and those of lost histories that it
/// took over.
///
/// A deployment is known by its name alone, and two people may have one name in mind, each with a
/// history of their own. So whatever is made says by a tag or label which history keeps it, and a
/// step neither changes nor removes what another one does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    history: HistoryId,
    took_over: BTreeSet<HistoryId>,
}

impl Keeper {
    /// A history and those that it took over.
    #[must_use]
    pub fn new(history: HistoryId, took_over: impl IntoIterator<Item = HistoryId>) -> Self {
        Self { history, took_over: took_over.into_iter().collect() }
    }

    /// The history that whatever is made from now on says of itself.
    #[must_use]
    pub fn history(&self) -> &HistoryId {
        &self.history
    }

    /// Whether it keeps what says this of itself; what says nothing was made before anything did.
    #[must_use]
    pub fn keeps(&self, by: Option<&HistoryId>) -> bool {
        by.is_none_or(|by| *by == self.history || self.took_over.contains(by))
    }
}

impl BackendError {
    /// Something that a step would have changed or removed, and another history keeps.
    #[must_use]
    pub fn kept_by_another(
        operation: &'static str,
        deployment: &Name,
        what: &str,
        by: &HistoryId,
    ) -> Self {
        let message = format!(
            "{what} of the deployment `{deployment}` is kept by another history, {}, and stays as it \
             is: deploy with that history (`history` in the deployment's file), choose another name \
             for the deployment, or, if that history is lost or is not to go on, take over what it \
             kept, with `deployix deploy --take-over {by}`",
            by.short()
        );
        Self::permanent(ErrorKind::Conflict, operation, message).since_kept_by(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_its_own_taken_over_or_of_nobody_is_kept_and_nothing_else() {
        let id = |digit: &str| HistoryId::new(digit.repeat(32)).unwrap();
        let (own, lost, other) = (id("1"), id("2"), id("3"));
        let keeper = Keeper::new(own.clone(), [lost.clone()]);
        assert!(keeper.keeps(None) && keeper.keeps(Some(&own)) && keeper.keeps(Some(&lost)));
        assert!(!keeper.keeps(Some(&other)));
    }

    #[test]
    fn a_refusal_says_what_whose_and_what_to_do() {
        let by = HistoryId::new("0123456789abcdef".repeat(2)).unwrap();
        let shop = Name::new("shop").unwrap();
        let error = BackendError::kept_by_another("DeleteVpc", &shop, "vpc-1", &by);
        assert_eq!(error.kept_by(), Some(&by));
        let error = error.to_string();
        assert!(error.contains("DeleteVpc: vpc-1 of the deployment `shop`"), "{error}");
        assert!(error.contains("by another history, 0123456789ab, and"), "{error}");
        assert!(error.contains(&format!("--take-over {by}`")), "{error}");
    }
}
