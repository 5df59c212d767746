//! One program of a functionality: the functionality's own, or a member of its group.

use deployix_core::Name;
use deployix_core::backend::Remark;
use deployix_core::spec::{Part, ServiceSpec, Template};

use super::software;
use crate::syntax::Expr;
use crate::{shell, unit};

/// One program and what its parts of the module are called.
pub(super) struct Member<'a> {
    /// Its name in its group.
    pub(super) name: Option<&'a Name>,
    pub(super) spec: &'a ServiceSpec,
    /// The stem of its units' names.
    pub(super) unit: String,
    /// The user and the group it runs as.
    pub(super) user: String,
    /// The folder with what it ships.
    pub(super) shipped: Option<Expr>,
    /// The program that fills in secrets and private files and then becomes the program given to
    /// it.
    pub(super) wrapper: Option<Expr>,
}

impl Member<'_> {
    /// A remark about one of its fields.
    pub(super) fn remark<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k str>,
        message: impl Into<String>,
    ) -> Remark {
        let mut place: Vec<String> = match self.name {
            None => vec!["service".to_owned()],
            Some(name) => vec!["group".to_owned(), name.to_string()],
        };
        place.extend(keys.into_iter().map(str::to_owned));
        Remark::new(place, message)
    }

    /// The stem of the name of the unit that runs its initializer.
    pub(super) fn initializer(&self) -> String {
        format!("{}-initializer", self.unit)
    }

    /// The name of a value that the module binds for it.
    pub(super) fn binding(&self, what: &str) -> String {
        match self.name {
            None => what.to_owned(),
            Some(name) => format!("{what}-{name}"),
        }
    }

    /// The words of a command line in one of its fields, the first of them found.
    pub(super) fn command(
        &self,
        field: &str,
        words: &[Template],
    ) -> Result<Vec<unit::Word>, Remark> {
        let mut command = Vec::with_capacity(words.len());
        for (index, word) in words.iter().enumerate() {
            let text = literal(word).map_err(|message| self.remark([field], message))?;
            command.push(match index {
                0 => software::program(self, field, text)?,
                _ => vec![text.into()],
            });
        }
        Ok(command)
    }

    /// A command line in one of its fields, started by the wrapper where there is one.
    pub(super) fn line(&self, field: &str, words: &[Template]) -> Result<Line, Remark> {
        let mut words = self.command(field, words)?;
        if let Some(wrapper) = &self.wrapper {
            words.insert(0, vec![wrapper.clone().into()]);
        }
        let exec =
            unit::command(&words).map_err(|error| self.remark([field], error.to_string()))?;
        Ok(Line { words, exec })
    }

    /// The directory below `/run` that is its own.
    pub(super) fn runtime_directory(&self) -> String {
        format!("deployix/{}", self.unit)
    }
}

/// A command line.
pub(super) struct Line {
    /// Its words, the program first.
    pub(super) words: Vec<unit::Word>,
    /// The same as the value of `ExecStart`.
    pub(super) exec: Expr,
}

impl Default for Line {
    fn default() -> Self {
        Self { words: Vec::new(), exec: Expr::Null }
    }
}

/// The text of a template whose holes the core has filled in.
pub(super) fn literal(template: &Template) -> Result<&str, String> {
    template.as_literal().ok_or_else(|| match template.secrets().next() {
        Some(secret) => format!("the secret `{secret}` would be seen in the list of processes"),
        None => "it has a hole that was not filled in".to_owned(),
    })
}

/// A template for a shell, its secrets read when the script runs.
pub(super) fn shell_template(template: &Template) -> Result<shell::Word, String> {
    template.parts().iter().try_fold(shell::Word::default(), |word, part| match part {
        Part::Literal(text) if text.contains('\0') => {
            Err("it has a NUL character, which no shell can hold".to_owned())
        }
        Part::Literal(text) => Ok(word.then_text(text)),
        Part::Secret(name) => Ok(word.then_secret(name)),
        Part::Lookup(key) => Err(format!("`${{lookup:{key}}}` is not looked up on NixOS")),
        Part::Upstream(_) | Part::Endpoint(_) => {
            Err("it has a hole that was not filled in".to_owned())
        }
    })
}
