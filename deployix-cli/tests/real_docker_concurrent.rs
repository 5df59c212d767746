//! Several people at one deployment, plans that are too old, histories that are damaged, and programs
//! that run periodically; with the program as a user runs it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod engine;

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::engine::{Home, Ran, ended, kill, subnets, wait_for};

/// A target without packet filters, whose image would take packages.
fn target(which: u8) -> String {
    let subnets = subnets(which);
    format!(
        "[target.box]\nbackend = \"docker\"\n\
         extensions.docker = {{ firewall = false, subnets = \"{subnets}\" }}\n"
    )
}

/// A deployment of functionalities, each with the value of a variable.
fn deployment(home: &Home, which: u8, functionalities: &[(&str, &str)]) {
    let mut text = format!("version = 1\nname = \"{}\"\n{}", home.name, target(which));
    for (name, value) in functionalities {
        write!(
            text,
            "[functionality.{name}.service]\nstart = [\"sleep\", \"infinity\"]\n\
             env.VALUE = \"{value}\"\nreadiness = {{ command = [\"true\"], within = \"30s\" }}\n"
        )
        .unwrap();
    }
    home.write("deployment.toml", &text);
}

#[test]
fn sixteen_deploy_sixteen_functionalities_at_once() {
    let home = Home::new("sixteen");
    let names: Vec<String> = (0..16).map(|n| format!("f{n}")).collect();
    let mut text = format!("version = 1\nname = \"{}\"\n{}", home.name, target(0));
    for (n, name) in names.iter().enumerate() {
        // Each needs its neighbour but for the first: so they meet at images, networks and all.
        let upstream =
            n.checked_sub(1).map(|n| format!("\"f{n}.example.com\"")).unwrap_or_default();
        write!(
            text,
            "[functionality.{name}]\nfqdn = \"{name}.example.com\"\nupstream-hosts = [{upstream}]\n\
             service.start = [\"sleep\", \"infinity\"]\n\
             service.readiness = {{ command = [\"true\"], within = \"60s\" }}\n\
             service.endpoints.http.port = 8000\n"
        )
        .unwrap();
    }
    home.write("deployment.toml", &text);
    let begin = Instant::now();
    let running: Vec<Child> =
        names.iter().map(|name| home.start(&format!("deploy --yes --only {name}"))).collect();
    for child in running {
        ended(child).done();
    }
    println!("sixteen at once: {:?}", begin.elapsed());
    let world = home.world();
    for name in &names {
        // What holds the network namespace, and the program.
        let running = world.of(name).filter(|container| container.state == "running").count();
        assert_eq!(running, 2, "{name} in {world:?}");
    }
    home.run("plan --refresh --exit-code").done();
    home.run("deploy --yes").done();
    assert_eq!(home.world().incarnations(), world.incarnations());
    let history = home.run("history").done().stdout;
    assert!(names.iter().all(|name| history.contains(name.as_str())), "{history}");
}

/// A deployment whose functionality `slow` is ready once a file says so.
fn slow(home: &Home, value: &str) {
    deployment(home, 1, &[("slow", value), ("other", value)]);
    home.edit(
        "deployment.toml",
        "[functionality.slow.service]\nstart = [\"sleep\", \"infinity\"]",
        "[functionality.slow.service]\nstart = [\"sh\", \"-c\", \"sleep 20; touch /tmp/ready; exec sleep infinity\"]",
    );
    let text = fs::read_to_string(home.path("deployment.toml")).unwrap();
    let ready = "[\"test\", \"-e\", \"/tmp/ready\"], within = \"60s\"";
    let text = text.replacen("[\"true\"], within = \"30s\"", ready, 1);
    home.write("deployment.toml", &text);
}

#[test]
fn who_deploys_what_somebody_is_at_is_refused_and_settles_what_a_dead_one_left() {
    let home = Home::new("holder");
    slow(&home, "1");
    let mut first = home.start("deploy --yes --only slow");
    wait_for("the first one's container", || home.world().of("slow").count() > 0);

    let begin = Instant::now();
    let refused = home.run("deploy --yes --only slow").failed();
    println!("refused after {:?}", begin.elapsed());
    let told = refused.told();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let process = format!("(process {})", first.id());
    for part in ["slow", "held by", host.trim(), &process, "since 20"] {
        assert!(told.contains(part), "{part:?} in {refused}");
    }
    let status = home.run("status").done().stdout;
    assert!(status.contains(&process) || status.contains("held"), "{status}");
    // Whoever wants something else is not kept from it.
    home.run("deploy --yes --only other").done();
    println!("the other after {:?}", begin.elapsed());
    assert!(first.try_wait().unwrap().is_none(), "the first one is still at it");

    kill(first.id(), "KILL");
    first.wait().unwrap();
    let begin = Instant::now();
    home.run("deploy --yes --only slow").done();
    assert!(home.can("slow", &["test", "-e", "/tmp/ready"]), "it is done once it is ready");
    println!("after the holder's death: {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(50), "a dead one's claim is not waited for");
    home.run("plan --refresh --exit-code").done();
    let world = home.world();
    assert_eq!(world.of("slow").filter(|container| container.state == "running").count(), 2);
    assert_eq!(world.of("slow").count(), 2, "nothing of the dead one's: {world:?}");
}

#[test]
fn a_saved_plan_is_refused_where_it_is_about_what_has_moved_on_and_accepted_otherwise() {
    let home = Home::new("saved");
    deployment(&home, 2, &[("web", "1"), ("other", "1")]);
    home.run("deploy --yes").done();
    let web = || home.says("web", &["printenv", "VALUE"]).trim().to_owned();

    // Something else has moved on.
    deployment(&home, 2, &[("web", "2"), ("other", "1")]);
    home.run("plan --only web --out web.plan").done();
    deployment(&home, 2, &[("web", "1"), ("other", "2")]);
    home.run("deploy --yes --only other").done();
    home.run("deploy --yes --plan web.plan").done();
    assert_eq!(web(), "2");
    // It was carried out already: what it is about has moved on by that very plan.
    let before = home.world();
    let refused = home.run("deploy --yes --plan web.plan").failed();
    assert!(refused.told().contains("web"), "{refused}");
    assert_eq!(home.world(), before);

    // The very thing has moved on.
    deployment(&home, 2, &[("web", "3"), ("other", "2")]);
    home.run("plan --only web --out web.plan").done();
    deployment(&home, 2, &[("web", "4"), ("other", "2")]);
    home.run("deploy --yes --only web").done();
    let (before, history) = (home.world(), home.files("history"));
    let refused = home.run("deploy --yes --plan web.plan").failed();
    assert!(refused.told().contains("web"), "{refused}");
    assert_eq!((web().as_str(), home.world(), home.files("history")), ("4", before, history));

    // The same has gone.
    home.run("plan --only web --out web.plan").done();
    deployment(&home, 2, &[("web", "5"), ("other", "2")]);
    home.run("plan --only web --out web.plan").done();
    home.run("destroy --yes --only web").done();
    home.run("deploy --yes --plan web.plan").failed().tells("web");
    assert_eq!(home.world().of("web").count(), 0);
}

/// How a history is damaged: what that is called, the entry that is to be named, and what is done to
/// its file.
type Damage = (&'static str, PathBuf, Box<dyn Fn(&Path)>);

/// Ways to damage a history.
fn damages(entries: &[PathBuf]) -> Vec<Damage> {
    let last = entries.last().unwrap().clone();
    let middle = entries[entries.len() / 2].clone();
    let cut = |share: usize| {
        move |path: &Path| {
            let content = fs::read(path).unwrap();
            fs::write(path, &content[..content.len() * share / 100]).unwrap();
        }
    };
    let edit = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let at = text.rfind("f1").or_else(|| text.rfind("run")).unwrap();
        let mut bytes = text.into_bytes();
        bytes[at] = b'g';
        fs::write(path, bytes).unwrap();
    };
    vec![
        ("half-written, the last", last.clone(), Box::new(cut(50))),
        ("half-written, in the middle", middle.clone(), Box::new(cut(50))),
        ("truncated to nothing, the last", last.clone(), Box::new(cut(0))),
        ("truncated by little", middle.clone(), Box::new(cut(97))),
        ("edited, the last", last.clone(), Box::new(edit)),
        ("edited, in the middle", middle.clone(), Box::new(edit)),
        ("missing", middle, Box::new(|path| fs::remove_file(path).unwrap())),
        ("something else", last, Box::new(|path| fs::write(path, "{}\n").unwrap())),
    ]
}

#[test]
fn a_second_history_of_the_same_name_changes_nothing_until_it_takes_over() {
    let home = Home::new("keepers");
    deployment(&home, 3, &[("f1", "1"), ("f2", "1")]);
    home.run("deploy --yes").done();
    let world = home.world();
    let keeper = &keeper(&home);

    // A fresh checkout, in which somebody wants less, and something else.
    fs::rename(home.path("history"), home.path("elsewhere")).unwrap();
    deployment(&home, 3, &[("f1", "2")]);
    let told = home.run("plan --refresh").done().told();
    assert!(told.contains(&format!("another history, {}, keeps", &keeper[..12])), "{told}");
    assert!(told.contains(&format!("`--take-over {keeper}`")), "{told}");
    let told = home.run("deploy --yes").failed().told();
    assert!(told.contains("is kept by another history"), "{told}");
    home.run("destroy --yes --volumes").done();
    assert_eq!(home.world().incarnations(), world.incarnations());

    home.run(&format!("deploy --yes --take-over {keeper}")).done();
    let after = home.world();
    assert!(after.of("f1").count() > 0 && after.of("f2").count() == 0, "{after:?}");
    home.run("plan --refresh --exit-code").done();
    home.run("destroy --yes --volumes").done();
    assert!(home.world().is_empty(), "{:?}", home.world());
}

/// The id of a history, of whichever deployment's file.
fn keeper(home: &Home) -> String {
    let (document, _) = home.json("history");
    document["entries"][0]["records"][0]["identity"]["history"].as_str().unwrap().to_owned()
}

#[test]
fn who_lost_the_history_is_told_how_to_remove_what_stands_and_keeps_its_data_unless_it_is_to_go() {
    let home = Home::new("lost");
    deployment(&home, 3, &[("f1", "1"), ("f2", "1")]);
    home.edit("deployment.toml", "env.VALUE = \"1\"", "env.VALUE = \"1\"\nstate = [\"/data\"]");
    home.run("deploy --yes").done();
    let (world, keeper) = (home.world(), keeper(&home));
    fs::remove_dir_all(home.path("history")).unwrap();

    let told = home.run("destroy --yes --volumes").done().told();
    assert!(told.contains(&format!("another history, {}, keeps ", &keeper[..12])), "{told}");
    assert!(told.contains(&format!("give `--take-over {keeper}`")), "{told}");
    assert_eq!(home.world().incarnations(), world.incarnations());

    let told = home.run(&format!("destroy --yes --take-over {keeper}")).done().told();
    assert!(told.contains("kept, since it holds data: docker/box/volume/f1"), "{told}");
    let shape = home.world().shape();
    assert!(shape.len() == 1 && shape[0].contains("volume"), "{shape:?}");
    // It is written down, so nobody has to say it again.
    home.run("destroy --yes --volumes").done();
    assert!(home.world().is_empty(), "{:?}", home.world());
    home.run("history").done().tells(&format!("took over what the lost history {keeper} kept"));
}

#[test]
fn of_two_that_begin_at_once_each_is_told_who_keeps_how_much_and_one_takes_over() {
    let home = Home::new("at-once");
    let with = |history: &str| {
        deployment(&home, 3, &[("f1", "1"), ("f2", "1")]);
        let named = format!("name = \"{}\"", home.name);
        home.edit("deployment.toml", &named, &format!("{named}\nhistory = \"file:{history}\""));
    };
    // Each looked before the other made anything.
    with("mine");
    home.run("plan --only f1 --out mine.plan").done();
    with("yours");
    home.run("plan --out yours.plan").done();
    with("mine");
    home.run("deploy --yes --plan mine.plan").done();
    let mine = keeper(&home);
    with("yours");
    let told = home.run("deploy --yes --plan yours.plan").failed().told();
    let yours = keeper(&home);
    assert!(told.contains(&format!("another history, {}, keeps ", &mine[..12])), "{told}");
    assert!(told.contains("both began at once and this one is to go on, give"), "{told}");
    let f1 = told.lines().find(|line| line.starts_with("f1 ") && line.contains("failed"));
    let why = format!("another history keeps it, {}", &mine[..12]);
    assert!(f1.is_some_and(|line| line.ends_with(&why)), "{told}");
    assert!(told.contains(&format!("`--take-over {mine}`")), "{told}");

    with("mine");
    let told = home.run("deploy --yes").failed().told();
    assert!(told.contains(&format!("another history, {}, keeps ", &yours[..12])), "{told}");
    assert!(told.contains(&format!("and this one, {}, keeps ", &mine[..12])), "{told}");
    home.run(&format!("deploy --yes --take-over {yours}")).done();
    home.run("plan --refresh --exit-code").done();
    with("yours");
    home.run("deploy --yes").failed().tells(&format!("`--take-over {mine}`"));
    with("mine");
    home.run("destroy --yes --volumes").done();
    assert!(home.world().is_empty(), "{:?}", home.world());
}

#[test]
fn a_damaged_history_is_told_by_its_entry_and_nothing_is_written_over() {
    let home = Home::new("damaged");
    deployment(&home, 3, &[("f1", "1"), ("f2", "1")]);
    home.run("deploy --yes").done();
    let world = home.world();
    let logs = |files: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<PathBuf> {
        files.keys().filter(|path| path.to_string_lossy().contains("/log/")).cloned().collect()
    };
    let whole = home.files("history");
    let entries = logs(&whole);
    assert!(entries.len() >= 4, "{entries:?}");
    deployment(&home, 3, &[("f1", "2"), ("f2", "1")]);
    for (what, path, damage) in damages(&entries) {
        fs::remove_dir_all(home.path("history")).unwrap();
        for (path, content) in &whole {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        damage(&path);
        let damaged = home.files("history");
        assert_ne!(damaged, whole, "{what}");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for command in
            ["plan", "deploy --yes", "status", "history", "destroy --yes", "deploy --yes --only f2"]
        {
            let ran: Ran = home.run(command);
            let told = ran.told();
            assert!(
                ran.code == Some(1) && told.contains(&name),
                "{command}, {what}: {name} in {ran}"
            );
            assert_eq!(home.files("history"), damaged, "{command}, {what}: something was written");
        }
        assert_eq!(home.world(), world, "{what}: something was done");
    }
}

#[test]
fn a_periodic_service_catches_up_after_its_container_was_down() {
    let home = Home::new("periodic");
    home.write(
        "deployment.toml",
        &format!(
            "version = 1\nname = \"{}\"\n{}\
             [functionality.job.service]\nstart = [\"sh\", \"-c\", \"echo it ran\"]\n\
             schedule = \"daily 03:30\"\n",
            home.name,
            target(0)
        ),
    );
    home.run("deploy --yes").done();
    let job = home.container("job");
    let ran = || home.engine.docker(&["logs", &job]).matches("it ran").count();
    assert_eq!(ran(), 0, "it is not due");
    // As if it had been down since 1970.
    home.engine.docker(&["exec", &job, "sh", "-c", "echo 5 > /var/lib/deployix/last-run"]);
    home.engine.docker(&["stop", "--time", "5", &job]);
    home.run("plan --refresh --exit-code").tells("job");
    home.run("deploy --yes").done();
    wait_for("the missed run", || ran() == 1);
    sleep(Duration::from_secs(2));
    assert_eq!(ran(), 1, "several missed runs are one");
    home.run("plan --refresh --exit-code").done();
}
