//! What AWS's SDK tells, as [`crate::engine::shape`] has it: one `TryFrom` for each type there.
//!
//! The SDK calls every field optional. One that AWS's API references say is always there, and that
//! the engine reads, is missing here only if the answer is not AWS's; so that is an error, and no
//! thing is left out of what stands.

mod balancer;
mod machine;
mod network;
mod parameter;
mod record;
mod rule;
mod scaling;

use std::{fmt, str::FromStr};

pub(super) use balancer::tags;
pub(super) use machine::Statuses;
pub(super) use record::{next_page, page_from};

use crate::{
    engine::call::{CallError, Page},
    request::{IdError, Tag},
};

/// A field that is always there.
pub(super) fn there<T>(value: Option<T>, field: &'static str) -> Result<T, CallError> {
    value.ok_or_else(|| CallError::unreadable(format!("{field} is missing")))
}

/// A text that is always there.
fn text(value: Option<&str>, field: &'static str) -> Result<String, CallError> {
    there(value, field).map(str::to_owned)
}

/// A text that may be missing where it says nothing.
fn any(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// An identifier that is always there.
fn id<T>(
    value: Option<&str>,
    field: &'static str,
    new: impl Fn(&str) -> Result<T, IdError>,
) -> Result<T, CallError> {
    let value = there(value, field)?;
    new(value).map_err(|error| CallError::unreadable(format!("{field}: {error}")))
}

/// An address or range that is always there.
fn parsed<T: FromStr<Err: fmt::Display>>(
    value: Option<&str>,
    field: &'static str,
) -> Result<T, CallError> {
    let value = there(value, field)?;
    let unreadable = |error| CallError::unreadable(format!("{field} is {value:?}: {error}"));
    value.parse().map_err(unreadable)
}

/// A count, size or port that is always there.
fn number<T: TryFrom<i32>>(value: Option<i32>, field: &'static str) -> Result<T, CallError> {
    let value = there(value, field)?;
    value.try_into().map_err(|_| CallError::unreadable(format!("{field} is {value}")))
}

/// A tag, whichever of the APIs tells it.
pub(super) fn tag(key: Option<&str>, value: Option<&str>) -> Result<Tag, CallError> {
    Ok(Tag::new(text(key, "a tag's Key")?, any(value)))
}

/// Everything in a list.
pub(super) fn all<'a, S: 'a, T: TryFrom<&'a S, Error = CallError>>(
    told: impl IntoIterator<Item = &'a S>,
) -> Result<Vec<T>, CallError> {
    told.into_iter().map(T::try_from).collect()
}

/// A page. Some operations end with a token that is empty.
pub(super) fn page<'a, S: 'a, T: TryFrom<&'a S, Error = CallError>>(
    told: impl IntoIterator<Item = &'a S>,
    next_token: Option<&str>,
) -> Result<Page<T>, CallError> {
    let next_token = next_token.filter(|token| !token.is_empty()).map(str::to_owned);
    Ok(Page { items: all(told)?, next_token })
}
