//! Refuses what Nix has no form for, before anything is printed.

use std::fmt;

use super::expr::{Attrs, Expr, Param, Part};
use super::scalar::{is_identifier, key_text};

/// Something in an expression that has no Nix form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", Location(path))]
pub struct PrintError {
    path: Vec<String>,
    problem: Problem,
}

impl PrintError {
    /// The attributes that lead to it, outermost first.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// What Nix has no form for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Nix strings end at a NUL character.
    #[error("a NUL character cannot be part of a Nix string; ship such bytes as a file")]
    Nul,
    /// Nix reads only finite, normal floating-point numbers.
    #[error(
        "the floating-point number {0} has no Nix form, which knows finite, normal numbers only"
    )]
    Float(String),
    /// A variable or parameter that Nix would not read as one name.
    #[error("{0:?} is not a Nix variable name")]
    Variable(String),
    /// A path that is absolute or empty, or goes up after it went down.
    #[error("{0:?} is not a plain relative path")]
    Path(String),
}

struct Location<'a>(&'a [String]);

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = self.0.iter().map(|key| key_text(key)).collect();
        write!(f, "at `{}`: ", keys.join("."))
    }
}

/// Walks the whole tree; afterwards the printer cannot fail.
pub(super) fn check(expr: &Expr) -> Result<(), PrintError> {
    let mut path = Vec::new();
    walk(expr, &mut path).map_err(|problem| PrintError { path, problem })
}

/// On failure `path` is left pointing at the place.
fn walk(expr: &Expr, path: &mut Vec<String>) -> Result<(), Problem> {
    match expr {
        Expr::Null | Expr::Bool(_) | Expr::Int(_) => Ok(()),
        Expr::Float(value) if value.is_normal() || *value == 0.0 => Ok(()),
        Expr::Float(value) => Err(Problem::Float(format!("{value:?}"))),
        Expr::Str(parts) => parts.iter().try_for_each(|part| match part {
            Part::Text(text) => no_nul(text),
            Part::Value(value) => walk(value, path),
        }),
        Expr::Path(text) => relative(text),
        Expr::List(items) => items.iter().try_for_each(|item| walk(item, path)),
        Expr::Attrs(attrs) => walk_attrs(attrs, path),
        Expr::Var(name) => variable(name),
        Expr::Select(base, keys) => {
            walk(base, path)?;
            keys.iter().try_for_each(|key| no_nul(key))
        }
        Expr::Apply(left, right) | Expr::With(left, right) | Expr::Binary(_, left, right) => {
            walk(left, path)?;
            walk(right, path)
        }
        Expr::Lambda(param, body) => {
            match param {
                Param::Name(name) => variable(name)?,
                Param::Set(names) => names.iter().try_for_each(|name| variable(name))?,
            }
            walk(body, path)
        }
        Expr::Let(bindings, body) => {
            walk_attrs(bindings, path)?;
            walk(body, path)
        }
    }
}

fn walk_attrs(attrs: &Attrs, path: &mut Vec<String>) -> Result<(), Problem> {
    for (key, value) in &attrs.entries {
        path.push(key.clone());
        no_nul(key)?;
        walk(value, path)?;
        path.pop();
    }
    Ok(())
}

fn no_nul(text: &str) -> Result<(), Problem> {
    if text.contains('\0') { Err(Problem::Nul) } else { Ok(()) }
}

fn variable(name: &str) -> Result<(), Problem> {
    if is_identifier(name) { Ok(()) } else { Err(Problem::Variable(name.to_owned())) }
}

fn relative(text: &str) -> Result<(), Problem> {
    no_nul(text)?;
    let mut below = text;
    while let Some(rest) = below.strip_prefix("../") {
        below = rest;
    }
    let plain = below.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if plain { Ok(()) } else { Err(Problem::Path(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_attribute_path_and_the_remedy() {
        let attrs =
            Attrs::new().with(["systemd", "services", "web.1", "environment", "KEY"], "a\0b");
        let error = check(&attrs.into()).expect_err("NUL");
        assert_eq!(
            error.to_string(),
            "at `systemd.services.\"web.1\".environment.KEY`: a NUL character cannot be part of a \
             Nix string; ship \
             such bytes as a file"
        );
    }

    #[test]
    fn floats_that_nix_cannot_read_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324] {
            assert!(check(&Expr::Float(value)).is_err(), "{value}");
        }
        for value in [0.0, -0.0, 1.5, f64::MIN_POSITIVE, f64::MAX] {
            assert!(check(&Expr::Float(value)).is_ok(), "{value}");
        }
    }

    #[test]
    fn paths_are_relative_and_go_up_before_they_go_down() {
        for path in ["", "/etc", "..", "../", "a/../b", "a//b", "a/", "./a", "..//a"] {
            assert!(check(&Expr::Path(path.into())).is_err(), "{path}");
        }
        for path in ["a/b c/${d}", "../x", "../../a b"] {
            assert!(check(&Expr::Path(path.into())).is_ok(), "{path}");
        }
    }

    #[test]
    fn variables_are_names_and_not_code() {
        for name in ["", "if", "a b", "a.b", "1a", "pkgs;", "a\n"] {
            assert!(check(&Expr::var(name)).is_err(), "{name:?}");
        }
        assert!(check(&Expr::var("haskell'")).is_ok());
    }
}
