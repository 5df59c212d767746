//! Compiled files in a folder: what is written, removed and never touched.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use deployix_core::{
    Name, RelativePath,
    diagnostic::Code,
    output::{Leftovers, WriteError, Written, write_files},
    spec::FileContent,
};
use tempfile::TempDir;

/// Files by target and path, each with its text; a program's text starts with `#!`.
fn write(folder: &Path, files: &[(&str, &str)]) -> Result<Written, WriteError> {
    write_with(folder, files, Leftovers::Remove)
}

fn write_with(
    folder: &Path,
    files: &[(&str, &str)],
    leftovers: Leftovers,
) -> Result<Written, WriteError> {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| {
            let (target, path) = path.split_once('/').unwrap();
            let program = text.starts_with("#!");
            let content =
                if program { FileContent::program(*text) } else { FileContent::plain(*text) };
            (Name::new(target).unwrap(), RelativePath::new(path).unwrap(), content)
        })
        .collect();
    let files: BTreeMap<_, _> =
        files.iter().map(|(t, path, content)| ((t, path), content)).collect();
    write_files(&files, folder, leftovers)
}

/// Every file below a folder with its content.
fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder_here) = open.pop() {
        for entry in fs::read_dir(folder_here).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                open.push(path);
            } else {
                let content = fs::read(&path).unwrap_or_default();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), content);
            }
        }
    }
    found
}

fn names(written: impl IntoIterator<Item = RelativePath>) -> Vec<String> {
    written.into_iter().map(|path| path.to_string()).collect()
}

fn refused(result: Result<Written, WriteError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, WriteError::InTheWay { .. }), "{error:?}");
    let diagnostics = error.diagnostics();
    assert!(diagnostics.iter().all(|d| d.code == Code::FileNotWritten && d.remedy.is_some()));
    error.to_string()
}

fn folder() -> (TempDir, PathBuf) {
    let own = tempfile::tempdir().unwrap();
    let out = own.path().join("out");
    (own, out)
}

#[test]
fn files_are_written_below_their_targets_and_a_second_time_nothing_changes() {
    let (_own, out) = folder();
    let files = [("box/web/start", "#!/bin/sh\n"), ("box/compose.yaml", "a"), ("rack/x", "b")];
    let written = write(&out, &files).unwrap();
    assert_eq!(names(written.changed), ["box/compose.yaml", "box/web/start", "rack/x"]);
    let before = all(&out);
    assert_eq!(before.len(), 4);
    assert_eq!(before[Path::new("box/web/start")], b"#!/bin/sh\n");

    let again = write(&out, &files).unwrap();
    assert_eq!(names(again.changed), [""; 0]);
    assert_eq!(again.files.len(), 3);
    assert_eq!(all(&out), before);
}

#[cfg(unix)]
#[test]
fn programs_can_be_executed_and_become_plain_files_again() {
    use std::os::unix::fs::PermissionsExt;
    let (_own, out) = folder();
    let mode = |path: &str| fs::metadata(out.join(path)).unwrap().permissions().mode() & 0o111;
    write(&out, &[("box/a", "#!x"), ("box/b", "b")]).unwrap();
    assert_eq!((mode("box/a") & 0o100, mode("box/b")), (0o100, 0));
    fs::set_permissions(out.join("box/a"), fs::Permissions::from_mode(0o644)).unwrap();
    let written = write(&out, &[("box/a", "#!x"), ("box/b", "b")]).unwrap();
    assert_eq!(names(written.changed), ["box/a"]);
    assert_eq!(mode("box/a") & 0o100, 0o100);
}

#[test]
fn what_is_no_longer_compiled_goes_and_what_others_put_there_stays() {
    let (_own, out) = folder();
    write(&out, &[("box/web/Dockerfile", "a"), ("box/web/deep/b", "b"), ("old/x", "c")]).unwrap();
    fs::write(out.join("box/web/notes.txt"), "mine").unwrap();
    fs::write(out.join("box/flake.lock"), "theirs").unwrap();
    let written = write(&out, &[("box/compose.yaml", "d")]).unwrap();
    assert_eq!(names(written.removed), ["box/web/Dockerfile", "box/web/deep/b"]);
    let left: Vec<_> = all(&out).into_keys().collect();
    let expected =
        [".deployix-files", "box/compose.yaml", "box/flake.lock", "box/web/notes.txt", "old/x"];
    assert_eq!(left, expected.map(PathBuf::from));
    assert!(!out.join("box/web/deep").exists());
    // Another target is another compile's to replace, and still known as ours.
    let written = write(&out, &[("old/y", "e")]).unwrap();
    assert_eq!(names(written.removed), ["old/x"]);
}

#[test]
fn what_failed_is_left_and_still_ours_later() {
    let (_own, out) = folder();
    write(&out, &[("box/web", "a"), ("box/db", "b")]).unwrap();
    let written = write_with(&out, &[("box/db", "c")], Leftovers::Keep).unwrap();
    assert_eq!(names(written.left), ["box/web"]);
    assert_eq!(fs::read(out.join("box/web")).unwrap(), b"a");
    let written = write(&out, &[("box/db", "c")]).unwrap();
    assert_eq!(names(written.removed), ["box/web"]);
}

#[test]
fn an_edited_file_is_neither_overwritten_nor_removed() {
    let (_own, out) = folder();
    write(&out, &[("box/a", "a"), ("box/b", "b")]).unwrap();
    fs::write(out.join("box/a"), "edited").unwrap();
    let before = all(&out);
    let error = refused(write(&out, &[("box/a", "new"), ("box/b", "new")]));
    assert_eq!(error, "`box/a` has been edited since it was compiled");
    assert_eq!(all(&out), before);

    let written = write(&out, &[("box/b", "new")]).unwrap();
    assert_eq!(names(written.left), ["box/a"]);
    assert_eq!(fs::read(out.join("box/a")).unwrap(), b"edited");
}

#[test]
fn nothing_is_written_where_anything_foreign_is_in_the_way() {
    let (_own, out) = folder();
    fs::create_dir_all(out.join("box/dir")).unwrap();
    fs::write(out.join("box/compose.yaml"), "mine").unwrap();
    fs::write(out.join("file"), "mine").unwrap();
    let before = all(&out);
    let files = [("box/compose.yaml", "a"), ("box/dir", "b"), ("box/fine", "c"), ("file/x", "d")];
    let error = refused(write(&out, &files));
    assert_eq!(error.matches("is there already, and was not compiled").count(), 2, "{error}");
    assert!(
        error.contains("`file/x` is a symbolic link or no file, or lies behind one"),
        "{error}"
    );
    assert_eq!(all(&out), before);

    // The same content may stand there already.
    fs::remove_dir(out.join("box/dir")).unwrap();
    assert!(write(&out, &[("box/compose.yaml", "mine")]).is_ok());
}

#[cfg(unix)]
#[test]
fn nothing_is_written_read_or_removed_through_links() {
    use std::os::unix::fs::symlink;
    let (own, out) = folder();
    let elsewhere = own.path().join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::write(elsewhere.join("x"), "precious").unwrap();
    fs::create_dir_all(&out).unwrap();
    symlink(&elsewhere, out.join("box")).unwrap();
    let link = "is a symbolic link";
    assert!(refused(write(&out, &[("box/x", "a")])).contains(link));
    fs::remove_file(out.join("box")).unwrap();
    fs::create_dir(out.join("box")).unwrap();
    symlink(elsewhere.join("x"), out.join("box/x")).unwrap();
    assert!(refused(write(&out, &[("box/x", "precious")])).contains(link));
    symlink(elsewhere.join("new"), out.join("box/dangling")).unwrap();
    assert!(refused(write(&out, &[("box/dangling", "a")])).contains(link));
    symlink(elsewhere.join("x"), out.join(".deployix-new")).unwrap();
    write(&out, &[("box/fine", "a")]).unwrap();

    // A compiled file that somebody has put a link to in the place of is not removed.
    write(&out, &[("box/fine", "precious")]).unwrap();
    fs::remove_file(out.join("box/fine")).unwrap();
    symlink(elsewhere.join("x"), out.join("box/fine")).unwrap();
    write(&out, &[]).unwrap();
    assert_eq!(all(&elsewhere).len(), 1);
    assert_eq!(fs::read(elsewhere.join("x")).unwrap(), b"precious");

    fs::remove_file(out.join(".deployix-files")).unwrap();
    symlink(elsewhere.join("x"), out.join(".deployix-files")).unwrap();
    assert!(matches!(write(&out, &[]), Err(WriteError::Manifest { .. })));
}

#[test]
fn a_hostile_manifest_removes_nothing_elsewhere() {
    let (own, out) = folder();
    write(&out, &[("box/x", "a")]).unwrap();
    let precious = own.path().join("precious");
    fs::write(&precious, "a").unwrap();
    let manifest = fs::read_to_string(out.join(".deployix-files")).unwrap();
    fs::write(out.join(".deployix-files"), manifest.replace("box/x", "../precious")).unwrap();
    assert!(matches!(write(&out, &[]), Err(WriteError::Manifest { .. })));
    assert!(precious.exists());
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let (_own, out) = folder();
    write(&out, &[("box/a", "a"), ("box/b/c", "c")]).unwrap();
    let written = write(&out, &[("box/a/x", "x"), ("box/b", "b")]).unwrap();
    assert_eq!(names(written.removed), ["box/a", "box/b/c"]);
    assert_eq!(fs::read(out.join("box/b")).unwrap(), b"b");
}

#[test]
fn a_compile_that_was_interrupted_is_taken_up_by_the_next() {
    let (_own, out) = folder();
    write(&out, &[("box/a", "old"), ("box/b", "old")]).unwrap();
    // As if the second one had been killed between its two files: its list is written first.
    let list = |out: &Path| fs::read_to_string(out.join(".deployix-files")).unwrap();
    let (_other_own, other) = folder();
    write(&other, &[("box/a", "new"), ("box/b", "new")]).unwrap();
    let new_lines =
        list(&other).lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(out.join(".deployix-files"), list(&out) + &new_lines).unwrap();
    fs::write(out.join("box/a"), "new").unwrap();
    fs::write(out.join(".deployix-new"), "ha").unwrap();

    write(&out, &[("box/a", "third"), ("box/b", "third")]).unwrap();
    assert_eq!(fs::read(out.join("box/a")).unwrap(), b"third");
    assert!(!out.join(".deployix-new").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_told_by_its_name() {
    let (own, _) = folder();
    let file = own.path().join("file");
    fs::write(&file, "").unwrap();
    let error = write(&file.join("out"), &[("box/a", "a")]).unwrap_err();
    assert!(error.to_string().starts_with("cannot make `"), "{error}");
    assert!(error.diagnostics().to_string().contains("file/out"), "{error}");
}
