//! What a builder was told wrong, so that all of it is told at once.

use std::{error::Error, fmt::Display};

use super::SpecError;

/// Problems in the order in which they were met.
#[derive(Debug, Clone, Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    /// Adds one about a field.
    pub(super) fn add(&mut self, field: impl Display, problem: impl Display) {
        self.0.push(format!("{field}: {problem}"));
    }

    /// The value, or `None` and a problem with the field.
    pub(super) fn parsed<T, E: Error>(
        &mut self,
        field: impl Display,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field, chain(&error))).ok()
    }

    /// Takes over those of a part.
    pub(super) fn extend(&mut self, part: impl Display, problems: Self) {
        for problem in problems.0 {
            self.add(&part, problem);
        }
    }

    /// The value where there is no problem.
    pub(super) fn none<T>(self, value: T) -> Result<T, SpecError> {
        if self.0.is_empty() { Ok(value) } else { Err(SpecError::new(self.0)) }
    }
}

/// An error and its sources on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
