//! Writes compiled files into a folder that may hold other things as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    error::{Obstacle, WriteError},
    manifest::Manifest,
};
use crate::{
    digest::Digest,
    name::{Name, RelativePath},
    spec::FileContent,
};

/// What to do with files of an earlier compile that are no longer among the compiled ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// They go: everything compiled, so nobody needs them.
    Remove,
    /// They stay: something failed, and is left as it last was.
    Keep,
}

/// What [`write_files`] did, path by path below the folder, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// All compiled files, each of them now there.
    pub files: BTreeMap<RelativePath, Digest>,
    /// Those of them that were not there before as they are now.
    pub changed: BTreeSet<RelativePath>,
    /// Files of an earlier compile that were removed.
    pub removed: BTreeSet<RelativePath>,
    /// Files of an earlier compile that were left: something failed, or somebody has edited them.
    pub left: BTreeSet<RelativePath>,
}

/// Writes compiled files into a folder, each below the folder of its target.
///
/// What anybody else has put there stays: no other file is removed or overwritten, and neither is a
/// compiled one that has been edited since. Nothing is written through a symbolic link. Each file
/// is replaced as a whole, so nobody ever reads half of one; and where anything stands in the way,
/// nothing is written at all.
///
/// Of what an earlier compile wrote, only what belongs to the same targets is a leftover. The folder
/// is made where there is none. Which files are compiled ones is kept in it, in
/// `.deployix-files`.
///
/// # Errors
/// Where something that is not ours stands in the way, or the operating system refuses.
pub fn write_files(
    files: &BTreeMap<(&Name, &RelativePath), &FileContent>,
    folder: &Path,
    leftovers: Leftovers,
) -> Result<Written, WriteError> {
    fs::create_dir_all(folder).map_err(WriteError::io("make", folder))?;
    let root = fs::canonicalize(folder).map_err(WriteError::io("open", folder))?;
    // Two compiles into one folder take turns, where its file system can lock folders.
    let _turn = File::open(&root).and_then(|file| file.lock().map(|()| file)).ok();
    let folder = Folder { root, before: Manifest::default() };
    let folder = Folder { before: folder.manifest()?, ..folder };

    let wanted: BTreeMap<RelativePath, &FileContent> =
        files.iter().map(|((target, path), content)| (path.below(target), *content)).collect();
    let mut after = Manifest::default();
    let mut written = Written::default();
    for (path, content) in &wanted {
        let digest = Digest::of_bytes(&content.bytes);
        after.insert(path.clone(), digest);
        written.files.insert(path.clone(), digest);
    }
    written.changed = folder.changed(&wanted)?;

    let mut meanwhile = folder.before.clone();
    meanwhile.add(&after, |_| true);
    folder.replace(Manifest::FILE, meanwhile.to_string(), false)?;
    // What was compiled for other targets is another compile's to replace.
    let targets: BTreeSet<&str> = files.keys().map(|(target, _)| target.as_str()).collect();
    let is_here = |path: &RelativePath| path.parts().next().is_some_and(|t| targets.contains(t));
    after.add(&folder.before, |path| !is_here(path));
    let old = folder.before.paths().filter(|path| is_here(path) && !wanted.contains_key(*path));
    for path in old {
        match leftovers {
            Leftovers::Remove if folder.remove(path)? => written.removed.insert(path.clone()),
            Leftovers::Remove => folder.exists(path) && written.left.insert(path.clone()),
            Leftovers::Keep => written.left.insert(path.clone()),
        };
    }
    for path in &written.changed {
        let content = wanted[path];
        folder.replace(path.as_str(), &content.bytes, content.executable)?;
    }
    if leftovers == Leftovers::Keep {
        after.add(&folder.before, |path| written.left.contains(path));
    }
    folder.replace(Manifest::FILE, after.to_string(), false)?;
    Ok(written)
}

/// A folder and what earlier compiles wrote into it.
struct Folder {
    /// Without symbolic links.
    root: PathBuf,
    before: Manifest,
}

/// What stands at a path.
enum Found {
    Nothing,
    File {
        digest: Digest,
        executable: bool,
    },
    Folder,
    /// A symbolic link, there or on the way; or something that is no file.
    Strange,
}

impl Folder {
    /// The list that the last compile left.
    fn manifest(&self) -> Result<Manifest, WriteError> {
        let path = self.root.join(Manifest::FILE);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Manifest::default()),
            Err(error) => return Err(WriteError::io("read", &path)(error)),
            Ok(metadata) if !metadata.is_file() => {
                return Err(WriteError::Manifest { path: path.display().to_string() });
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(WriteError::io("read", &path))?;
        let manifest = String::from_utf8(bytes).ok().and_then(|text| Manifest::parse(&text));
        manifest.ok_or_else(|| WriteError::Manifest { path: path.display().to_string() })
    }

    /// The wanted files that are not there as they are wanted; an error where something that is
    /// not ours stands in the way of any.
    fn changed(
        &self,
        wanted: &BTreeMap<RelativePath, &FileContent>,
    ) -> Result<BTreeSet<RelativePath>, WriteError> {
        let mut changed = BTreeSet::new();
        let mut obstacles = Vec::new();
        for (path, content) in wanted {
            let wanted_digest = Digest::of_bytes(&content.bytes);
            match self.find(path)? {
                Found::File { digest, executable } if digest == wanted_digest => {
                    if executable == content.executable || cfg!(not(unix)) {
                        continue;
                    }
                }
                Found::File { digest, .. } if !self.before.wrote(path, digest) => {
                    let ours = self.before.knows(path);
                    let obstacle = if ours { Obstacle::Edited } else { Obstacle::Foreign };
                    obstacles.push((path.clone(), obstacle));
                }
                Found::Folder if !self.before.knows_below(path) => {
                    obstacles.push((path.clone(), Obstacle::Foreign));
                }
                Found::Strange => obstacles.push((path.clone(), Obstacle::Strange)),
                Found::Nothing | Found::File { .. } | Found::Folder => {}
            }
            changed.insert(path.clone());
        }
        if obstacles.is_empty() { Ok(changed) } else { Err(WriteError::InTheWay { obstacles }) }
    }

    fn find(&self, path: &RelativePath) -> Result<Found, WriteError> {
        let mut at = self.root.clone();
        let mut parts = path.parts().peekable();
        while let Some(part) = parts.next() {
            at.push(part);
            let metadata = match fs::symlink_metadata(&at) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
                other => other.map_err(WriteError::io("read", &at))?,
            };
            match (parts.peek(), metadata.is_dir(), metadata.is_file()) {
                (Some(_), true, _) => {}
                // A compiled file where a folder is needed now is about to be removed.
                (Some(_), _, true) if self.is_ours(&at)? => return Ok(Found::Nothing),
                (None, true, _) => return Ok(Found::Folder),
                (None, _, true) => {
                    let digest = digest(&at)?;
                    return Ok(Found::File { digest, executable: executable(&metadata) });
                }
                _ => return Ok(Found::Strange),
            }
        }
        Ok(Found::Folder)
    }

    fn is_ours(&self, at: &Path) -> Result<bool, WriteError> {
        let relative = at.strip_prefix(&self.root).ok().and_then(Path::to_str);
        let Some(path) = relative.and_then(|path| RelativePath::new(path).ok()) else {
            return Ok(false);
        };
        Ok(self.before.wrote(&path, digest(at)?))
    }

    fn exists(&self, path: &RelativePath) -> bool {
        fs::symlink_metadata(self.root.join(path.as_str())).is_ok()
    }

    /// Removes a file that an earlier compile wrote, and the folders that are empty then; tells
    /// whether it did.
    fn remove(&self, path: &RelativePath) -> Result<bool, WriteError> {
        match self.find(path)? {
            Found::File { digest, .. } if self.before.wrote(path, digest) => {}
            _ => return Ok(false),
        }
        let at = self.root.join(path.as_str());
        fs::remove_file(&at).map_err(WriteError::io("remove", &at))?;
        let parents = at.ancestors().skip(1).take_while(|parent| **parent != *self.root);
        for parent in parents {
            // It is not empty, or somebody has put something into it this moment: it stays.
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(true)
    }

    /// Puts a file there as a whole: written aside, then renamed.
    fn replace(
        &self,
        path: &str,
        bytes: impl AsRef<[u8]>,
        executable: bool,
    ) -> Result<(), WriteError> {
        let at = self.root.join(path);
        let parent = at.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(WriteError::io("make", parent))?;
        // Not beside it: among shipped files one of any name may be.
        let aside = self.root.join(".deployix-new");
        let write = || {
            // What an interrupted compile has left there; a link itself goes, not what it leads to.
            match fs::remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            create(&aside, executable)?.write_all(bytes.as_ref())?;
            fs::rename(&aside, &at)
        };
        write().map_err(WriteError::io("write", &at))
    }
}

/// Makes a file that is not there yet.
fn create(path: &Path, executable: bool) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if executable { 0o777 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = executable;
    options.open(path)
}

fn executable(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0;
    #[cfg(not(unix))]
    return {
        let _ = metadata;
        false
    };
}

fn digest(path: &Path) -> Result<Digest, WriteError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(WriteError::io("read", path))?;
    Ok(Digest::of_bytes(&bytes))
}
