//! `deployix init`, and all that follows it.

use crate::support::{Folder, codes};

#[test]
fn what_init_makes_works_with_every_command() {
    let folder = Folder::new();
    let ran = folder.run("init").done();
    assert!(ran.stdout.starts_with("made deployment.toml\n"), "{}", ran.stdout);
    for command in ["check", "graph", "graph --format dot", "compile --out out", "plan"] {
        let ran = folder.run(command).done();
        assert_eq!(ran.stderr, "", "{command}");
        assert!(!ran.stdout.is_empty(), "{command}");
        assert_eq!(codes(&folder.json(command.split(" --f").next().unwrap()).0), [""; 0]);
    }
    assert!(folder.path().join("out/local/compose.yaml").exists());
    assert_eq!(folder.run("plan --exit-code").code, Some(3));
    for backend in ["docker", "ec2", "nixos"] {
        folder.run(&format!("compile --out {backend} --backend {backend}")).done();
    }
}

#[test]
fn init_makes_the_folder_and_overwrites_nothing() {
    let folder = Folder::new();
    let (document, code) = folder.json("init new/shop");
    assert_eq!((&document["file"], code), (&"new/shop/deployment.toml".into(), Some(0)));
    folder.run("check new/shop").done();

    for name in ["deployment.toml", "deployment.yaml", "deployment.json"] {
        let folder = Folder::new();
        folder.write(name, "mine");
        let ran = folder.run("init").failed();
        assert!(ran.stderr.contains("there is a deployment already"), "{}", ran.stderr);
        let (document, code) = folder.json("init");
        assert_eq!(codes(&document), ["file-not-written"]);
        assert_eq!((&document["file"], code), (&serde_json::Value::Null, Some(1)));
        assert_eq!(folder.files("").len(), 1);
        assert_eq!(folder.read(name), "mine");
    }
}
