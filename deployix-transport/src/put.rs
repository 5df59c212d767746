//! Files and folders, put on a host at once.

use std::{
    ffi::OsStr,
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use tar::{Builder, EntryType, Header};
use zeroize::Zeroizing;

use crate::{Command, Transport, TransportError, quote, succeed, word};

/// Unpacks and then puts in place; what was unpacked goes if anything fails. $0 is a script that
/// comes with what is unpacked, below `/`.
const UNPACK: &str = r#"set -eu
umask 022
trap 'code=$?; [ ! -e "$0" ] || sh "$0" drop; exit "$code"' EXIT
tar -x -p -o -f - -C /
sh "$0" place"#;

/// The most bytes that an archive takes for an entry besides its content and path: headers of its
/// own and of a long path, each rounded up to 512 bytes, as is the content.
const BLOCKS: usize = 4 * 512;

/// A file or folder to put on a host.
#[derive(Clone)]
pub struct Entry {
    path: PathBuf,
    mode: u32,
    /// None makes it a folder.
    content: Option<Arc<Zeroizing<Vec<u8>>>>,
}

impl Entry {
    /// A file at an absolute path, with its content and permissions (`0o600` for a secret).
    pub fn file(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        let content = Some(Arc::new(Zeroizing::new(content.into())));
        Self { path: path.into(), mode, content }
    }

    /// A folder at an absolute path; what is in it stays.
    pub fn folder(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), mode, content: None }
    }

    /// Its path less the `/` in front.
    fn below_root(&self, host: &str) -> Result<&Path, TransportError> {
        let refused = |why| TransportError::Unacceptable {
            host: host.to_owned(),
            what: format!("the file {:?}", self.path),
            why,
        };
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let mut parts = self.path.components();
        let absolute = parts.next() == Some(Component::RootDir) && parts.all(plain);
        // `components` passes over `.` and doubled slashes, which are no harm.
        match self.path.file_name() {
            _ if !absolute => Err(refused("its path has to be absolute and without ..")),
            _ if self.path.as_os_str().as_bytes().contains(&0) => {
                Err(refused("no path can hold a NUL byte"))
            }
            None => Err(refused("it names no file")),
            Some(_) => Ok(self.path.strip_prefix("/").unwrap_or(&self.path)),
        }
    }
}

/// Says how much is in it, and not what.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.as_ref().map(|content| format!("{} bytes", content.len()));
        f.debug_struct("Entry")
            .field("path", &self.path)
            .field("mode", &format_args!("{:04o}", self.mode))
            .field("content", &content)
            .finish()
    }
}

/// Puts files and folders on a host in one go, as the user who runs commands there.
///
/// A file is there whole or as it was before, never in part: it is written into a folder beside
/// its place, which nobody else can look into, and renamed once all of them are written. Where one
/// cannot be written, none is replaced. Folders come first, in the order given; those above a file
/// that are missing are made with mode 0755.
///
/// The host needs `sh`, `tar`, and `mv` with `-T`, as GNU and BusyBox have it.
///
/// # Errors
/// What [`succeed`] returns, and a path that is not absolute.
///
/// ```
/// use deployix_transport::{Entry, Local, put};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let token = folder.path().join("secrets/token");
/// put(&Local, &[Entry::file(&token, "t0p", 0o600)]).await?;
/// assert_eq!(std::fs::read(token)?, b"t0p");
/// # Ok(())
/// # }
/// ```
pub async fn put(transport: &dyn Transport, entries: &[Entry]) -> Result<(), TransportError> {
    let host = transport.host();
    let Some(plan) = Plan::new(host, entries)? else { return Ok(()) };
    let script = Path::new("/").join(&plan.script);
    let command = Command::new("sh").args(["-c", UNPACK]).arg(script);
    let archive = plan.archive(entries).map_err(|source| TransportError::Here {
        host: host.to_owned(),
        command: command.to_string(),
        source,
    })?;
    succeed(transport, &command.stdin(archive)).await.map(drop)
}

/// Where everything is unpacked, and what puts it in place.
struct Plan {
    /// The folders to unpack into.
    stages: Vec<PathBuf>,
    /// Where each entry is unpacked; none for folders.
    staged: Vec<Option<PathBuf>>,
    /// The script, in the first stage.
    script: PathBuf,
    text: Vec<u8>,
}

impl Plan {
    /// A plan; none where there is nothing to do.
    fn new(host: &str, entries: &[Entry]) -> Result<Option<Self>, TransportError> {
        let stage_name = format!(".deployix-{}", word::unguessable());
        let (mut stages, mut staged) = (Vec::<PathBuf>::new(), Vec::new());
        let (mut folders, mut moves) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let path = entry.below_root(host)?;
            if entry.content.is_none() {
                let mode = format!("{:04o}", entry.mode & 0o7777);
                folders.push(shell(&["mkdir", "-p", "--"], &[&entry.path]));
                folders.push(shell(&["chmod", &mode, "--"], &[&entry.path]));
                staged.push(None);
                continue;
            }
            let stage = path.parent().unwrap_or(Path::new("")).join(&stage_name);
            let from = stage.join(index.to_string());
            moves.push(shell(
                &["mv", "-f", "-T", "--"],
                &[&Path::new("/").join(&from), &entry.path],
            ));
            staged.push(Some(from));
            if !stages.contains(&stage) {
                stages.push(stage);
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        if stages.is_empty() {
            stages.push(Path::new("tmp").join(&stage_name));
        }
        let script = stages[0].join("place");
        let drop: Vec<_> = stages.iter().rev().map(|stage| Path::new("/").join(stage)).collect();
        let drop = shell(&["rm", "-rf", "--"], &drop.iter().collect::<Vec<_>>());
        let mut text = b"set -eu\ncase $1 in\nplace)\n".to_vec();
        for line in folders.into_iter().chain(moves) {
            text.extend(line);
            text.push(b'\n');
        }
        text.extend(b";;\ndrop)\n");
        text.extend(drop);
        text.extend(b"\n;;\nesac\n");
        Ok(Some(Self { stages, staged, script, text }))
    }

    /// The bytes that its archive takes at most.
    fn room(&self, entries: &[Entry]) -> usize {
        let stored = entries.iter().zip(&self.staged).filter_map(|(entry, path)| {
            Some(entry.content.as_ref()?.len() + path.as_ref()?.as_os_str().len() + BLOCKS)
        });
        let stages = self.stages.iter().map(|stage| stage.as_os_str().len() + BLOCKS);
        let script = self.text.len() + self.script.as_os_str().len() + BLOCKS;
        stored.chain(stages).sum::<usize>() + script + BLOCKS
    }

    fn archive(&self, entries: &[Entry]) -> io::Result<Vec<u8>> {
        // With all its room, so that no half-grown copy of a secret is left behind.
        let mut archive = Builder::new(Vec::with_capacity(self.room(entries)));
        for (index, stage) in self.stages.iter().enumerate() {
            append(&mut archive, stage, EntryType::Directory, 0o700, &[])?;
            if index == 0 {
                append(&mut archive, &self.script, EntryType::Regular, 0o600, &self.text)?;
            }
        }
        for (entry, path) in entries.iter().zip(&self.staged) {
            if let (Some(path), Some(content)) = (path, &entry.content) {
                append(&mut archive, path, EntryType::Regular, entry.mode & 0o7777, content)?;
            }
        }
        archive.into_inner()
    }
}

fn append(
    archive: &mut Builder<Vec<u8>>,
    path: &Path,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)
}

/// A line of shell from words and paths.
fn shell(words: &[&str], paths: &[&PathBuf]) -> Vec<u8> {
    let words = words.iter().map(OsStr::new);
    quote::line(words.chain(paths.iter().map(|path| path.as_os_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_given_all_its_room_at_once() {
        let deep = format!("/{}/leaf", ["deep"; 60].join("/"));
        let entries: Vec<_> = (0..50)
            .map(|n| Entry::file(format!("{deep}{n}/{n}"), vec![b'x'; n * 37], 0o600))
            .chain([Entry::folder("/empty", 0o700)])
            .collect();
        let plan = Plan::new("here", &entries).unwrap().unwrap();
        let archive = plan.archive(&entries).unwrap();
        let room = plan.room(&entries);
        assert!(archive.len() <= room, "{} > {room}", archive.len());
        assert_eq!(archive.capacity(), Vec::<u8>::with_capacity(room).capacity());
    }

    #[test]
    fn what_is_in_a_file_is_not_shown() {
        let shown = format!("{:?}", Entry::file("/a", "hunter2", 0o600));
        assert!(shown.contains("0600") && shown.contains("7 bytes"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
