//! [`Artifact`]: what compiling gives, and what it refuses.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;

use super::{FileRef, Input, OutputRef, PeerAddress, Resource};
use crate::{
    digest::Digest,
    name::{Name, NameError, RelativePath},
    spec::FileContent,
};

/// What a functionality or a target compiles to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Artifact {
    /// Files, below the target's folder.
    pub files: BTreeMap<RelativePath, FileContent>,
    /// What is to be made real.
    pub resources: Vec<Resource>,
    /// The contents of the files that resources name, by digest; see [`file`](Self::file).
    #[serde(skip)]
    pub contents: BTreeMap<Digest, Arc<[u8]>>,
    /// What was compiled other than one might expect.
    pub remarks: Vec<Remark>,
}

impl Artifact {
    /// A file as a setting of a resource: its digest stands there, and its content is at hand when
    /// the resource is made.
    #[must_use]
    pub fn file(&mut self, content: &FileContent) -> Input {
        let digest = Digest::of_bytes(&content.bytes);
        self.contents.entry(digest).or_insert_with(|| Arc::clone(&content.bytes));
        Input::File(FileRef { digest, executable: content.executable })
    }

    /// Adds a file below the target's folder; one at the same path is replaced.
    ///
    /// # Errors
    /// Refuses a path that is none, or that leads out of the folder.
    pub fn add_file(
        &mut self,
        path: impl AsRef<str>,
        content: FileContent,
    ) -> Result<(), CompileError> {
        let path = RelativePath::new(path)?;
        self.files.insert(path, content);
        Ok(())
    }
}

/// Something that several functionalities and targets share, and that is described apart from them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Subject {
    /// A location.
    Location(Name),
    /// A network.
    Network(Name),
    /// A target.
    Target(Name),
}

impl Subject {
    /// What kind of thing it is, as the files call it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Location(_) => "location",
            Self::Network(_) => "network",
            Self::Target(_) => "target",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Location(name) | Self::Network(name) | Self::Target(name) => name,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name())
    }
}

/// Something that a backend has to say about one place in a spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// What it is about, where that is shared by several that are compiled; it is told once then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Subject>,
    /// The keys that lead to the place, from the functionality's or target's own top, such as
    /// `["service", "readiness"]`, or from that of what it is about; as far as they exist, they are
    /// shown.
    pub keys: Vec<String>,
    /// What is the matter and why, in lower case, without a final dot.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Remark {
    /// A remark about the place that the keys lead to.
    pub fn new<K: Into<String>>(
        keys: impl IntoIterator<Item = K>,
        message: impl Into<String>,
    ) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        Self { about: None, keys, message: message.into(), remedy: None }
    }

    /// Says what it is about, from whose top the keys lead.
    ///
    /// ```
    /// use deployix_core::{Name, backend::{Remark, Subject}};
    ///
    /// let network = Subject::Network(Name::new("sg")?);
    /// let remark = Remark::new(["extensions", "ec2", "cidr"], "a /8 is too large").about(network);
    /// assert_eq!(remark.about.unwrap().to_string(), "network `sg`");
    /// # Ok::<(), deployix_core::name::NameError>(())
    /// ```
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.about = Some(subject);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Tells why something cannot be compiled: every reason at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reasons.iter().map(|reason| reason.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct CompileError {
    /// The reasons; at least one.
    pub reasons: Vec<Remark>,
}

impl CompileError {
    /// Goes on where there is no reason not to.
    ///
    /// ```
    /// use deployix_core::backend::{CompileError, Remark};
    ///
    /// assert!(CompileError::check(vec![]).is_ok());
    /// let reason = Remark::new(["service", "state"], "nothing on its disk survives");
    /// assert!(CompileError::check(vec![reason]).is_err());
    /// ```
    ///
    /// # Errors
    /// Where there are reasons.
    pub fn check(reasons: Vec<Remark>) -> Result<(), Self> {
        if reasons.is_empty() { Ok(()) } else { Err(Self { reasons }) }
    }
}

impl From<Remark> for CompileError {
    fn from(reason: Remark) -> Self {
        Self { reasons: vec![reason] }
    }
}

/// A name that a backend made of a functionality's or target's own is none.
impl From<NameError> for CompileError {
    fn from(error: NameError) -> Self {
        Remark::new(["name"], error.to_string()).into()
    }
}

/// What a machine is told at its first boot: text, with addresses filled in once they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UserData {
    /// The pieces, in order.
    pub parts: Vec<UserDataPart>,
}

/// A piece of [`UserData`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserDataPart {
    /// Text as it is.
    Text(String),
    /// The private address of a machine or load balancer.
    Address(PeerAddress),
    /// An output of a resource.
    Output(OutputRef),
}
