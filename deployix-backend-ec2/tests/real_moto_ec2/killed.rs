//! The process that deploys is killed at entries of the history's log, over the wire: the next one
//! takes up what it left.
//!
//! Every entry is tried on the strict account (`tests/engine/journal.rs`), where a death costs little;
//! here are a few, of a process that has nothing but its environment and its files.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use deployix_backend_ec2::{Ec2Backend, PlainGuest};
use deployix_core::{
    BackendId,
    backend::Registry,
    execute::{ApplyOptions, Interrupt, apply, settle},
    history::{History, store},
    plan::{Only, plan},
};
use tokio::process::Command;

use crate::{
    deadly::{Deadly, Death, When},
    moto::Moto,
    site::{Account, Hunter, Site, beyond, compiled, hydra},
};

/// Where the process that deploys keeps its history, and when it is to die.
const CHILD: &str = "DEPLOYIX_TEST_CHILD";
const DIES: &str = "DEPLOYIX_TEST_DIES";

/// A death for so many entries of the log.
const EVERY: usize = 8;

/// Not a test of its own: the process that deploys, and may die of it.
#[tokio::test]
async fn the_deploying_process() {
    let Ok(folder) = env::var(CHILD) else { return };
    let deployment = hydra();
    let name = deployment.name.clone();
    let mut store = store("file:history", Path::new(&folder)).unwrap();
    if let Ok(death) = env::var(DIES) {
        store = Arc::new(Deadly::new(store, death.parse::<Death>().unwrap(), || {
            let own = std::process::id().to_string();
            std::process::Command::new("kill").args(["-KILL", &own]).status().unwrap();
        }));
    }
    let registry = Registry::new()
        .with(Ec2Backend::live())
        .with_guest(BackendId::new("native").unwrap(), PlainGuest::new());
    let history = History::open(store, &name).await.unwrap();
    settle(&history, &registry, &name).await.unwrap();
    let heads = history.heads().await.unwrap();
    let compiled = compiled(deployment, &heads, &registry);
    let plan = plan(&compiled, &heads, &registry, &Only::All);
    let mut options = ApplyOptions::new();
    options.secrets = Arc::new(Hunter);
    let report = apply(&plan, &history, &registry, &options, &Interrupt::default(), None).await;
    assert!(report.is_good(), "{report:#?}");
}

/// Deploys in a process of its own.
async fn deployed(moto: &Moto, folder: &Path, death: Option<Death>) -> ExitStatus {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "killed::the_deploying_process", "--nocapture"]);
    command.env(CHILD, folder).stdin(Stdio::null());
    command.env("AWS_ENDPOINT_URL", format!("http://{}", moto.proxy.address));
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command
        .envs(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"].map(|file| (file, "/dev/null")));
    command.env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN");
    if let Some(death) = death {
        command.env(DIES, death.to_string());
    }
    let output = command.output().await.unwrap();
    let told = [output.stdout, output.stderr];
    let told = told.map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    let status = output.status;
    assert!(
        status.success() || (death.is_some() && status.signal() == Some(9)),
        "{status}: {told}"
    );
    status
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_deploys_is_taken_up_by_the_next() {
    let calm = Site::of(Moto::new().await, &hydra());
    calm.deploy(hydra()).await;
    let wanted = calm.aws.things().await;

    let mut deaths = 0;
    for entry in (0..).step_by(EVERY) {
        let when = if deaths % 2 == 0 { When::After } else { When::Before };
        let death = Death { when, entry };
        let (moto, folder) = (Moto::new().await, tempfile::tempdir().unwrap());
        if deployed(&moto, folder.path(), Some(death)).await.success() {
            break;
        }
        deaths += 1;
        deployed(&moto, folder.path(), None).await;
        assert_eq!(beyond(&moto.things().await, &wanted), [""; 0], "killed {death}");
        moto.take_writes();
        deployed(&moto, folder.path(), None).await;
        assert_eq!(moto.take_writes(), [""; 0], "killed {death}");
    }
    assert!(deaths > 5, "{deaths} deaths");
}
