//! The tree: what a Nix expression can be here.

use std::collections::BTreeMap;

/// A Nix expression.
///
/// Only the forms that generated modules need; operators and function forms are parenthesised by
/// the printer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expr {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit signed integer, all of them.
    Int(i64),
    /// A finite, normal floating-point number; others have no Nix form.
    Float(f64),
    /// A string, with text and interpolated parts.
    Str(Vec<Part>),
    /// A path relative to the file that holds it, without `./`, such as `hydra-web/hydra.conf` or
    /// `../hydra.conf`.
    Path(String),
    /// `[ a b ]`.
    List(Vec<Expr>),
    /// `{ key = value; }`.
    Attrs(Attrs),
    /// A variable, such as `pkgs`.
    Var(String),
    /// `base.a.b`.
    Select(Box<Expr>, Vec<String>),
    /// `function argument`.
    Apply(Box<Expr>, Box<Expr>),
    /// `parameter: body`.
    Lambda(Param, Box<Expr>),
    /// `let name = value; in body`.
    Let(Attrs, Box<Expr>),
    /// `with scope; body`.
    With(Box<Expr>, Box<Expr>),
    /// `left operator right`.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// A piece of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text, meant exactly as it stands.
    Text(String),
    /// `${expr}`: the value of an expression.
    Value(Expr),
}

/// The parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// `name: ..`.
    Name(String),
    /// `{ a, b, ... }: ..`: a set with these attributes and, because modules receive more than they
    /// name, any others.
    Set(Vec<String>),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `++`, joins lists.
    Concat,
    /// `//`, the right set's attributes win.
    Update,
    /// `+`, adds numbers and joins strings and paths.
    Add,
}

/// An attribute set: keys are any strings, in sorted order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attrs {
    pub(super) recursive: bool,
    pub(super) entries: BTreeMap<String, Expr>,
}

impl Attrs {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it `rec { .. }`, whose values can refer to each other.
    #[must_use]
    pub fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Sets the attribute that a path leads to, and gives the set back.
    #[must_use]
    pub fn with<K: Into<String>>(
        mut self,
        path: impl IntoIterator<Item = K>,
        value: impl Into<Expr>,
    ) -> Self {
        self.set(path, value);
        self
    }

    /// Sets the attribute that a path leads to, making the sets on the way.
    ///
    /// Two sets at one path become one set with the attributes of both; any other value that was
    /// there is replaced.
    pub fn set<K: Into<String>>(
        &mut self,
        path: impl IntoIterator<Item = K>,
        value: impl Into<Expr>,
    ) {
        let keys: Vec<String> = path.into_iter().map(Into::into).collect();
        let nested = keys.into_iter().rev().fold(value.into(), |inner, key| {
            Expr::Attrs(Self { recursive: false, entries: BTreeMap::from([(key, inner)]) })
        });
        if let Expr::Attrs(nested) = nested {
            self.merge(nested);
        }
    }

    /// Takes over all attributes of another set, joining sets that both have.
    pub fn merge(&mut self, other: Self) {
        for (key, value) in other.entries {
            match (self.entries.get_mut(&key), value) {
                (Some(Expr::Attrs(mine)), Expr::Attrs(theirs)) => mine.merge(theirs),
                (_, value) => {
                    self.entries.insert(key, value);
                }
            }
        }
    }

    /// Looks up one attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Expr> {
        self.entries.get(key)
    }

    /// Tells whether there is no attribute.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Into<String>, V: Into<Expr>> FromIterator<(K, V)> for Attrs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { recursive: false, entries }
    }
}

impl Expr {
    /// A variable.
    #[must_use]
    pub fn var(name: impl Into<String>) -> Self {
        Self::Var(name.into())
    }

    /// A string made of parts.
    #[must_use]
    pub fn concat(parts: impl IntoIterator<Item = Part>) -> Self {
        Self::Str(parts.into_iter().collect())
    }

    /// `self.key.key`.
    #[must_use]
    pub fn select<K: Into<String>>(self, path: impl IntoIterator<Item = K>) -> Self {
        Self::Select(Box::new(self), path.into_iter().map(Into::into).collect())
    }

    /// `self argument`.
    #[must_use]
    pub fn apply(self, argument: impl Into<Self>) -> Self {
        Self::Apply(Box::new(self), Box::new(argument.into()))
    }

    /// `self operator right`.
    #[must_use]
    pub fn then(self, operator: Operator, right: impl Into<Self>) -> Self {
        Self::Binary(operator, Box::new(self), Box::new(right.into()))
    }

    /// `{ names, ... }: self`, the form of a NixOS module.
    #[must_use]
    pub fn module<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self::Lambda(Param::Set(names), Box::new(self))
    }

    /// Turns JSON into the Nix value that `builtins.fromJSON` would give.
    ///
    /// `None` for an integer over 64 bits, which Nix has no type for.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        use serde_json::Value;
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => match n.as_i64() {
                Some(int) => Self::Int(int),
                None if n.is_u64() => return None,
                None => Self::Float(n.as_f64()?),
            },
            Value::String(s) => s.as_str().into(),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect::<Option<_>>()?)
            }
            Value::Object(entries) => Self::Attrs(
                entries
                    .iter()
                    .map(|(key, value)| Some((key.clone(), Self::from_json(value)?)))
                    .collect::<Option<Attrs>>()?,
            ),
        })
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Expr> for Part {
    fn from(value: Expr) -> Self {
        Self::Value(value)
    }
}

impl From<Part> for Expr {
    fn from(part: Part) -> Self {
        match part {
            Part::Value(value) => value,
            text => Self::Str(vec![text]),
        }
    }
}

impl From<&str> for Expr {
    fn from(text: &str) -> Self {
        Self::Str(vec![text.into()])
    }
}

impl From<String> for Expr {
    fn from(text: String) -> Self {
        Self::Str(vec![text.into()])
    }
}

impl From<bool> for Expr {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Expr {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Expr {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Expr {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Attrs> for Expr {
    fn from(attrs: Attrs) -> Self {
        Self::Attrs(attrs)
    }
}

impl<T: Into<Expr>> From<Vec<T>> for Expr {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Expr>, const N: usize> From<[T; N]> for Expr {
    fn from(items: [T; N]) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
