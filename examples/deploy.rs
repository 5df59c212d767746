//! Deploying from a tool of your own: a plan is carried out, what happens is followed event by event,
//! and the history tells afterwards what stands, and what stood before.
//!
//! It runs anywhere: the backend is the in-memory one, and the history is kept in memory too. With
//! `deployix::registry()` (and its feature `docker-live`) and a history such as `file:history` the
//! same code deploys to Docker engines.
//!
//! ```console
//! $ cargo run --example deploy
//! ```

use std::{error::Error, path::Path};

use deployix::core::{
    backend::{MemoryBackend, Registry},
    execute::{ApplyOptions, Event, Interrupt, Report, apply, settle},
    history::{History, store},
    load::{Format, SpecFile, parse_deployment},
    plan::{Only, compile, plan},
    topology::{connect, place, resolve},
};
use tokio::sync::mpsc;

const SPECS: &str = r#"
version = 1
name = "shop"
target.box.backend = "memory"

[functionality.web]
upstream-hosts = ["db.example.com"]
service = { start = ["web"], env.COLOUR = "blue", endpoints.http.port = 80 }

[functionality.db]
fqdn = "db.example.com"
service = { start = ["db"], endpoints.sql.port = 5432 }
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new().with(MemoryBackend::new());
    let history = History::open(store("memory:", Path::new("."))?, &"shop".parse()?).await?;

    println!("first:");
    deploy(SPECS, &history, &registry).await?;
    println!("again:");
    deploy(SPECS, &history, &registry).await?;
    println!("with another colour:");
    let report = deploy(&SPECS.replace("blue", "red"), &history, &registry).await?;

    let before = history.up_to(report.generation - 1).await?;
    println!("{} resources stood one generation before the end", before.resources.len());
    Ok(())
}

/// From specs to what stands: everything that `deployix deploy` does but asking and drawing.
async fn deploy(
    specs: &str,
    history: &History,
    registry: &Registry,
) -> Result<Report, Box<dyn Error>> {
    let file = SpecFile::new("deployment.toml", Format::Toml, specs.to_owned());
    let deployment = parse_deployment(&file, None).complete()?.ok_or("nothing to deploy")?;
    // What became of the steps of runs that died?
    settle(history, registry, &deployment.name).await?;
    let heads = history.heads().await?;
    let compiled = resolve(deployment, registry)
        .then(|resolved| place(resolved, &heads.assignments, registry))
        .then(|placed| connect(placed, registry))
        .then(|connected| compile(connected, registry, None))
        .complete()?;
    let plan = plan(&compiled, &heads, registry, &Only::All);

    let (sender, mut events) = mpsc::unbounded_channel();
    let (options, interrupt) = (ApplyOptions::new(), Interrupt::default());
    let run = async {
        let report = apply(&plan, history, registry, &options, &interrupt, Some(&sender)).await;
        drop(sender);
        report
    };
    let follow = async {
        while let Some(event) = events.recv().await {
            match event {
                Event::Started { resource, action, .. } => {
                    println!("  {} {resource}", action.as_str());
                }
                Event::Settled { functionality, fate } => println!("  {functionality}: {fate:?}"),
                _ => {}
            }
        }
    };
    let (report, ()) = tokio::join!(run, follow);
    println!("  {} kept, good: {}", plan.kept, report.is_good());
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_changed_is_done_again() {
        let registry = Registry::new().with(MemoryBackend::new());
        let store = store("memory:", Path::new(".")).expect("a store");
        let name = "shop".parse().expect("a name");
        let history = History::open(store, &name).await.expect("a history");
        let first = deploy(SPECS, &history, &registry).await.expect("deployed");
        let again = deploy(SPECS, &history, &registry).await.expect("deployed");
        let red = SPECS.replace("blue", "red");
        let changed = deploy(&red, &history, &registry).await.expect("deployed");
        let counts = [first, again, changed].map(|report| report.steps.len());
        assert_eq!(counts, [4, 0, 1]);
    }
}
