//! The example files of the interface's description, as they are printed there, and what they mean.

use std::fs;

use deployix_core::{
    Name,
    load::load,
    spec::{Part, Probe, Schedule, TargetKind},
};

const CATALOG: &str = include_str!("interface/deployix.toml");
const INFRASTRUCTURE: &str = include_str!("interface/infrastructure.toml");
const DEPLOYMENT: &str = include_str!("interface/deployment.toml");

#[test]
fn the_files_of_the_description_load_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("hydra/deployix.toml", CATALOG);
    put("hydra/dist/bin/hydra", "#!/bin/sh\n");
    put("git/deployix.toml", "version = 1\n[functionality.git]\nservice.start = [\"git\"]\n");
    put("infrastructure.toml", INFRASTRUCTURE);
    put("deployment.toml", DEPLOYMENT);
    put("ca.crt", "-----BEGIN CERTIFICATE-----\n");

    let loaded = load(folder.path());
    assert_eq!(loaded.diagnostics.to_string(), "");
    let deployment = loaded.value.unwrap();
    assert_eq!(deployment.name.as_str(), "zalora");
    assert!(!deployment.incomplete);
    assert_eq!(deployment.certificate_authority.unwrap().key, folder.path().join("ca.key.age"));
    assert_eq!(deployment.secrets, Some(folder.path().join("secrets")));
    let history = format!("file:{}", folder.path().join("history").display());
    assert_eq!(deployment.history, Some(history));
    let default = deployment.default_backend.unwrap();
    assert_eq!(default.services_per_instance.map(u32::from), Some(5));

    let names: Vec<_> = deployment
        .catalogs
        .iter()
        .flat_map(|catalog| catalog.functionalities.iter().map(|f| f.name().as_str()))
        .collect();
    assert_eq!(names, ["git", "harvest-spice", "hydra-evaluator", "hydra-web"]);
    let service = |at: usize| {
        let lowered = deployment.catalogs[1].functionalities[at].service().lower().unwrap();
        let members: Vec<_> =
            lowered.members().map(|(name, service)| (name.cloned(), service.clone())).collect();
        members
    };
    assert_eq!(service(0)[0].1.schedule, Some(Schedule::Minutes(1)));
    assert_eq!(service(1).len(), 2);
    let web = &service(2)[0].1;
    assert!(
        matches!(&web.readiness.as_ref().unwrap().probe, Probe::Http { path, .. } if path == "/healthz")
    );
    assert_eq!(web.software.path.as_ref().unwrap().files.len(), 1);
    let secrets = web.env.values().flat_map(|value| value.secrets());
    assert_eq!(secrets.map(|name| name.as_str()).collect::<Vec<_>>(), ["hydra-db"]);
    assert!(web.env.values().any(|value| matches!(value.parts(), [Part::Lookup(_)])));

    let infrastructure = deployment.infrastructure;
    let epsilon = &infrastructure.targets[&Name::new("epsilon1").unwrap()];
    assert_eq!(epsilon.kind, TargetKind::Machine);
    assert_eq!(epsilon.capacity.memory.unwrap().to_string(), "32GiB");
    assert_eq!(infrastructure.targets.len(), 3);
    let listeners = infrastructure.load_balancers.values().map(|it| it.listeners.iter());
    let ports = listeners.flatten().map(|it| (it.source_port.get(), it.target_port.get()));
    assert_eq!(ports.collect::<Vec<_>>(), [(443, 3000)]);
}
