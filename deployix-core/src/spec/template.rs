//! Strings with holes: secrets, runtime lookups, upstreams' addresses and endpoints' ports.

use std::{fmt, slice, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{Fqdn, LookupKey, Name, NameError, SecretName};

/// A string in which holes are filled in later.
///
/// Written `${secret:NAME}`, `${lookup:KEY}`, `${upstream:FQDN}` and `${endpoint:NAME}`; `$$` is a
/// dollar sign, and a dollar sign before anything else but `{` is itself. In the stage `connect` the
/// core fills in upstreams and endpoints; a backend meets literals, secrets and lookups alone.
///
/// Invariant: no two literals stand side by side and none is empty, so equal templates have equal
/// parts. Most templates are a single literal, which needs no list.
///
/// ```
/// use deployix_core::spec::{Part, Template};
///
/// let template: Template = "host=${upstream:db.example.com} cost=5$$".parse()?;
/// assert_eq!(template.parts().len(), 3);
/// assert_eq!(Template::literal("${x}").to_string(), "$${x}");
/// # Ok::<(), deployix_core::spec::TemplateError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Template(Parts);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Parts {
    One(Part),
    /// None of them, or more than one.
    Several(Box<[Part]>),
}

impl Default for Parts {
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Text that stands as it is.
    Literal(String),
    /// A secret's value, filled in on the target only.
    Secret(SecretName),
    /// A value looked up at run time.
    Lookup(LookupKey),
    /// The address of an upstream: its fqdn, which resolves to the right address everywhere.
    Upstream(Fqdn),
    /// The port of one of the service's own endpoints.
    Endpoint(Name),
}

/// Tells why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A `${` without its `}`.
    #[error("\"${{\" is never closed; write \"$$\" for a dollar sign")]
    Unclosed,
    /// A hole of no known kind.
    #[error(
        "${{{0}}} is not one of ${{secret:NAME}}, ${{lookup:KEY}}, ${{upstream:FQDN}} and \
         ${{endpoint:NAME}}; write \"$$\" for a dollar sign"
    )]
    UnknownKind(String),
    /// A hole whose name is not a name of its kind.
    #[error("in ${{{hole}}}")]
    Name {
        /// The hole's text.
        hole: String,
        /// What is wrong with the name in it.
        source: NameError,
    },
}

impl Template {
    /// A string without holes, whatever characters it has.
    pub fn literal(text: impl Into<String>) -> Self {
        match text.into() {
            text if text.is_empty() => Self::default(),
            text => Self(Parts::One(Part::Literal(text))),
        }
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        match &self.0 {
            Parts::One(part) => slice::from_ref(part),
            Parts::Several(parts) => parts,
        }
    }

    /// The text, where there is no hole in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The secrets named in it, in order.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.parts().iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name),
            _ => None,
        })
    }

    /// The runtime lookups named in it, in order.
    pub fn lookups(&self) -> impl Iterator<Item = &LookupKey> {
        self.parts().iter().filter_map(|part| match part {
            Part::Lookup(key) => Some(key),
            _ => None,
        })
    }

    /// Replaces each part for which `fill` knows better.
    #[must_use]
    pub fn fill(&self, mut fill: impl FnMut(&Part) -> Option<Part>) -> Self {
        self.parts().iter().map(|part| fill(part).unwrap_or_else(|| part.clone())).collect()
    }

    /// Parses the text; see the type's documentation for its form.
    ///
    /// # Errors
    /// Refuses unclosed holes, holes of unknown kind and names that are none.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.contains('$') {
            return Ok(Self::literal(text));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            parts.push(Part::Literal(rest[..at].to_owned()));
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                parts.push(Part::Literal("$".to_owned()));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = after.find('}').ok_or(TemplateError::Unclosed)?;
                parts.push(parse_hole(&after[..end])?);
                rest = &after[end + 1..];
            } else {
                parts.push(Part::Literal("$".to_owned()));
            }
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(parts.into_iter().collect())
    }
}

fn parse_hole(hole: &str) -> Result<Part, TemplateError> {
    let named = |source| TemplateError::Name { hole: hole.to_owned(), source };
    match hole.split_once(':') {
        Some(("secret", name)) => SecretName::new(name).map(Part::Secret).map_err(named),
        Some(("lookup", key)) => LookupKey::new(key).map(Part::Lookup).map_err(named),
        Some(("upstream", fqdn)) => Fqdn::new(fqdn).map(Part::Upstream).map_err(named),
        Some(("endpoint", name)) => Name::new(name).map(Part::Endpoint).map_err(named),
        _ => Err(TemplateError::UnknownKind(hole.chars().take(80).collect())),
    }
}

impl FromIterator<Part> for Template {
    fn from_iter<T: IntoIterator<Item = Part>>(iter: T) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for part in iter {
            match (parts.last_mut(), part) {
                (_, Part::Literal(text)) if text.is_empty() => {}
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, part) => parts.push(part),
            }
        }
        match <[Part; 1]>::try_from(parts) {
            Ok([part]) => Self(Parts::One(part)),
            Err(parts) => Self(Parts::Several(parts.into())),
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.parts() {
            match part {
                Part::Literal(text) => f.write_str(&text.replace('$', "$$"))?,
                Part::Secret(name) => write!(f, "${{secret:{name}}}")?,
                Part::Lookup(key) => write!(f, "${{lookup:{key}}}")?,
                Part::Upstream(fqdn) => write!(f, "${{upstream:{fqdn}}}")?,
                Part::Endpoint(name) => write!(f, "${{endpoint:{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holes_of_every_kind_are_found() {
        let text = "a${secret:s}${lookup:k.k}${upstream:db.x}${endpoint:http}$$$";
        let template = Template::parse(text).unwrap();
        assert_eq!(
            template.parts(),
            [
                Part::Literal("a".into()),
                Part::Secret(SecretName::new("s").unwrap()),
                Part::Lookup(LookupKey::new("k.k").unwrap()),
                Part::Upstream(Fqdn::new("db.x").unwrap()),
                Part::Endpoint(Name::new("http").unwrap()),
                Part::Literal("$$".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_hole_is_refused() {
        assert_eq!(Template::parse("${secret:a").unwrap_err(), TemplateError::Unclosed);
        for bad in ["${}", "${HOME}", "${secrets:a}", "${secret:}", "${endpoint:A}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_template_parses_to_itself(text in ".*", name in "[a-z]{1,5}") {
            let template: Template =
                [Part::Literal(text), Part::Secret(SecretName::new(name).unwrap())]
                    .into_iter()
                    .collect();
            prop_assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
        }
    }
}
