//! Spec files: their formats, and how their texts come in.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{folder::Folder, placed, tree};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Place},
    source::Source,
};

/// A format of spec files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// TOML.
    Toml,
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
}

/// The endings of spec files' names.
const ENDINGS: [(&str, Format); 4] =
    [("toml", Format::Toml), ("yaml", Format::Yaml), ("yml", Format::Yaml), ("json", Format::Json)];

impl Format {
    /// The format of a file of that name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    }

    /// A key with a value, as the format writes it.
    pub(super) fn entry(self, key: &str, value: &str) -> String {
        match self {
            Self::Toml => format!("{key} = {value}"),
            Self::Yaml => format!("{key}: {value}"),
            Self::Json => format!("\"{key}\": {value}"),
        }
    }
}

/// A spec file's text and its format.
#[derive(Debug, Clone)]
pub struct SpecFile {
    pub(super) source: Arc<Source>,
    pub(super) format: Format,
}

/// How large a spec file may be.
const LARGEST: u64 = 256 << 20;

impl SpecFile {
    /// A text as if it had been read from a file of that name.
    ///
    /// A byte order mark at its start is passed over, and lines may end as they do on Windows.
    #[must_use]
    pub fn new(name: &str, format: Format, mut text: String) -> Self {
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        if text.contains("\r\n") {
            // So that a text over several lines is the same wherever the file was checked out.
            text = text.replace("\r\n", "\n");
        }
        Self { source: Arc::new(Source::new(name, text, tree::index(format))), format }
    }

    /// Reads a file, or the one of a folder whose name without its ending is `stem`.
    ///
    /// # Errors
    /// Where there is no such file, several of them, or it is no text.
    pub fn read(path: &Path, stem: &str) -> Result<Self, Diagnostics> {
        let opened = Self::open(path, stem);
        opened.map(|(file, _)| file).map_err(|diagnostic| placed(*diagnostic, path).into())
    }

    /// The same, with the folder of the file; a finding about the file as a whole has no place.
    pub(super) fn open(path: &Path, stem: &str) -> Result<(Self, Folder), Box<Diagnostic>> {
        let path = find(path, stem)?;
        let name = path.display().to_string();
        let bytes = bytes(&path, &name, LARGEST)?;
        let Some(format) = Format::of(&path) else {
            let diagnostic = unreadable(format!("`{name}` is of no known format"));
            let remedy = "let its name end in .toml, .yaml, .yml or .json";
            return Err(diagnostic.remedy(remedy).into());
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let place = Place::of(&name.as_str().into(), &text, valid..valid + 1);
            Diagnostic::error(Code::FileUnreadable, format!("`{name}` is not UTF-8 text"))
                .at(place)
                .remedy("save it as UTF-8")
        })?;
        let folder = Folder::new(path.parent().unwrap_or(Path::new("")));
        Ok((Self::new(&name, format, text), folder))
    }

    /// Whether the text has a key at its top; one that makes no sense has none.
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        let root = tree::Tree::parse(self.source.text(), self.format).root;
        matches!(root.map(|root| root.value), Some(tree::Value::Map(entries))
            if entries.iter().any(|entry| entry.key == key))
    }

    /// The text, and how to find places in it.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

/// Reads a text file such as a certificate.
pub(super) fn text(path: &Path) -> Result<String, Box<Diagnostic>> {
    const LARGEST: u64 = 1 << 20;
    let name = path.display().to_string();
    let bytes = bytes(path, &name, LARGEST)?;
    String::from_utf8(bytes).map_err(|_| unreadable(format!("`{name}` is not UTF-8 text")).into())
}

fn bytes(path: &Path, name: &str, largest: u64) -> Result<Vec<u8>, Box<Diagnostic>> {
    let failed = |error: io::Error| Box::new(unreadable(format!("cannot read `{name}`: {error}")));
    // Asked before it is opened: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(unreadable(format!("`{name}` is no file")).into());
    }
    // Texts are kept, so they get the room they need and no more.
    let length = metadata.len().min(largest);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let file = File::open(path).map_err(failed)?;
    file.take(largest + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > largest { Err(too_large(name).into()) } else { Ok(bytes) }
}

/// The file itself, or the one of a folder whose name without its ending is `stem`.
fn find(path: &Path, stem: &str) -> Result<PathBuf, Box<Diagnostic>> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let name = path.display();
    let mut found = ENDINGS
        .iter()
        .map(|(ending, _)| path.join(format!("{stem}.{ending}")))
        .filter(|file| file.exists());
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        (Some(file), Some(other)) => {
            let message =
                format!("the folder `{name}` has `{}` and `{}`", file.display(), other.display());
            let diagnostic = unreadable(message);
            let remedy = "keep one of them, or name the file instead of the folder";
            Err(diagnostic.remedy(remedy).into())
        }
        (None, _) => {
            let message = format!("the folder `{name}` has no `{stem}.toml`, .yaml, .yml or .json");
            Err(unreadable(message).remedy("name the file itself").into())
        }
    }
}

/// A finding about a file as a whole.
fn unreadable(message: String) -> Diagnostic {
    Diagnostic::error(Code::FileUnreadable, message)
}

fn too_large(name: &str) -> Diagnostic {
    unreadable(format!("`{name}` is too large")).remedy("split it into several files")
}
