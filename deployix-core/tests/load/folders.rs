//! What lies beside a spec: taken as it is, and never from elsewhere.

use std::{fs, path::Path};

use deployix_core::{
    RelativePath,
    load::{Folder, FolderError, load_catalog},
    spec::FileBody,
};

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).unwrap()
}

#[test]
fn a_folder_is_shipped_with_all_that_is_in_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "dist/b/two", "2");
    put(folder.path(), "dist/a", "1");
    put(folder.path(), "other", "");
    fs::create_dir(folder.path().join("dist/empty")).unwrap();
    let shipped = Folder::new(folder.path()).ship(&path("dist")).unwrap();
    let files: Vec<_> =
        shipped.files.iter().map(|(path, file)| (path.as_str(), file.as_text())).collect();
    assert_eq!(files, [("a", Some("1")), ("b/two", Some("2"))]);
    let single = Folder::new(folder.path()).ship(&path("dist/b/two")).unwrap();
    assert_eq!(single.files.keys().map(RelativePath::as_str).collect::<Vec<_>>(), ["two"]);
}

#[test]
fn what_cannot_be_shipped_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let folder = Folder::new(folder.path());
    assert!(matches!(folder.ship(&path("gone")), Err(FolderError::Unreadable { .. })));
    assert!(matches!(folder.ship(&path("empty")), Err(FolderError::Empty { .. })));
    assert!(matches!(folder.file(&path("empty")), Err(FolderError::NoFile { .. })));
}

#[test]
fn files_and_folders_are_found_beside_the_catalog_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "web/dist/run", "#!/bin/sh\n");
    put(folder.path(), "web/conf", "a=${not a hole}\0");
    put(
        folder.path(),
        "web/deployix.toml",
        "version = 1\n[functionality.web.service]\nsoftware.path = \"dist\"\n\
         files.\"/etc/x\" = { source = \"conf\", mode = \"0400\" }\n\
         files.\"/etc/y\" = { source = \"gone\" }\n\
         [functionality.ok.service]\nfiles.\"/etc/x\" = { source = \"conf\", mode = \"0400\" }\n",
    );
    let read = load_catalog(&folder.path().join("web"));
    let found = read.diagnostics.to_string();
    assert!(
        found.ends_with(
            "deployix.toml:5:29: error[file-unreadable]: cannot read `gone`: No such file or \
             directory (os error 2); the path is relative to the file that says it"
        ),
        "{found}"
    );
    let lowered = read.value.functionalities[0].service().lower().unwrap();
    let (_, service) = lowered.members().next().unwrap();
    let file = service.files.values().next().unwrap();
    assert_eq!(file.mode, 0o400);
    assert!(matches!(&file.body, FileBody::Bytes(file) if &*file.bytes == b"a=${not a hole}\0"));
}

#[cfg(unix)]
mod links {
    use std::os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    fn a_link_is_followed_within_the_folder_and_never_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "dist/real/a", "1");
        symlink("real", folder.path().join("dist/link")).unwrap();
        symlink("real/a", folder.path().join("dist/file")).unwrap();
        let beside = Folder::new(folder.path());
        let shipped = beside.ship(&path("dist")).unwrap();
        let files: Vec<_> = shipped.files.keys().map(RelativePath::as_str).collect();
        assert_eq!(files, ["file", "link/a", "real/a"]);

        put(folder.path(), "secret", "x");
        for target in ["../secret", "/etc/passwd", ".."] {
            symlink(target, folder.path().join("dist/out")).unwrap();
            let refused = beside.ship(&path("dist")).unwrap_err();
            assert!(matches!(refused, FolderError::LeadsOut { .. }), "{target}: {refused}");
            assert_eq!(
                refused.to_string(),
                "`dist/out` is a link that leads out of the folder it is in"
            );
            fs::remove_file(folder.path().join("dist/out")).unwrap();
        }
        symlink("/etc/passwd", folder.path().join("passwd")).unwrap();
        assert!(matches!(beside.file(&path("passwd")), Err(FolderError::LeadsOut { .. })));
        assert!(matches!(beside.ship(&path("passwd")), Err(FolderError::LeadsOut { .. })));
    }

    #[test]
    fn links_that_lead_in_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "dist/a/x", "");
        put(folder.path(), "dist/b/x", "");
        symlink("../b", folder.path().join("dist/a/to-b")).unwrap();
        symlink("../a", folder.path().join("dist/b/to-a")).unwrap();
        let beside = Folder::new(folder.path());
        assert!(matches!(beside.ship(&path("dist")), Err(FolderError::Endless { .. })));
    }

    #[test]
    fn what_is_executable_stays_so_and_what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "dist/run", "");
        put(folder.path(), "dist/data", "");
        let run = folder.path().join("dist/run");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        let beside = Folder::new(folder.path());
        let shipped = beside.ship(&path("dist")).unwrap();
        let programs: Vec<_> = shipped.files.values().map(|file| file.executable).collect();
        assert_eq!(programs, [false, true]);

        let _listener =
            std::os::unix::net::UnixListener::bind(folder.path().join("dist/socket")).unwrap();
        assert!(matches!(beside.ship(&path("dist")), Err(FolderError::NoFile { .. })));
    }

    #[test]
    fn names_that_are_not_text_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "dist/a", "");
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
        fs::write(folder.path().join("dist").join(name), "").unwrap();
        let beside = Folder::new(folder.path());
        assert!(matches!(beside.ship(&path("dist")), Err(FolderError::Name { .. })));
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "dist/a", "");
        // A hole, which takes no room on the disk.
        fs::File::create(folder.path().join("dist/b")).unwrap().set_len(65 << 20).unwrap();
        let beside = Folder::new(folder.path());
        assert!(matches!(beside.ship(&path("dist")), Err(FolderError::TooLarge { .. })));
    }
}
