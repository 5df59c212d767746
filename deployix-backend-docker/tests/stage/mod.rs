//! Small deployments, run through the stages up to what the backend compiles.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use deployix_backend_docker::DockerBackend;
use deployix_core::{
    BackendId, Name, ResourceId,
    backend::{Disk, FirstBoot, Guest, MemoryBackend, OutputRef, Registry, UserData, UserDataPart},
    diagnostic::{Diagnostics, Staged},
    plan::{Compiled, compile},
    spec::{
        Catalog, Deployment, FileContent, FunctionalitySpec, LoadBalancer, Network, Service,
        ServiceSpec, Target,
    },
    topology::{Assignments, connect, place, resolve},
};

/// A name that is valid.
pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A functionality with the fqdn `NAME.example.com`.
pub(crate) fn functionality<S: Service>(
    text: &str,
    service: S,
    upstreams: &[&str],
) -> FunctionalitySpec<S> {
    let mut spec = FunctionalitySpec::new(text, service).unwrap();
    spec = spec.fqdn(&format!("{text}.example.com")).unwrap();
    for upstream in upstreams {
        spec = spec.upstream(&format!("{upstream}.example.com")).unwrap();
    }
    spec
}

/// A program that serves HTTP from `/` and needs Python.
pub(crate) fn server(port: u16) -> deployix_core::spec::ServiceBuilder {
    ServiceSpec::builder(["python3", "-m", "http.server", "--directory", "/tmp", &port.to_string()])
        .debian(["python3"])
        .endpoint("http", port)
        .ready_over_http("http", "/")
}

/// A Docker engine.
pub(crate) fn engine(text: &str) -> Target {
    Target::machine(name(text), BackendId::new("docker").unwrap())
}

/// A deployment on one engine called `box`.
pub(crate) fn deployment(catalog: Catalog) -> Deployment {
    let mut deployment = Deployment::new(name("shop"), vec![catalog]);
    deployment.infrastructure.targets.insert(name("box"), engine("box"));
    deployment
}

/// Adds a load balancer over the port 80 of a functionality.
pub(crate) fn balance(deployment: &mut Deployment, text: &str, from: u16, to: u16) {
    let balances = deployix_core::Fqdn::new(format!("{text}.example.com")).unwrap();
    let port = |port| std::num::NonZeroU16::new(port).unwrap();
    let balancer = LoadBalancer::new(name(text), balances, port(from), port(to));
    deployment.infrastructure.load_balancers.insert(name(text), balancer);
}

pub(crate) fn compiled(deployment: Deployment) -> Staged<Compiled> {
    let registry = Registry::new().with(DockerBackend::new());
    resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::new(), &registry))
        .then(|placed| connect(placed, &registry))
        .then(|connected| compile(connected, &registry, None))
}

/// Compiles what has no errors.
pub(crate) fn compiled_whole(deployment: Deployment) -> Compiled {
    let staged = compiled(deployment);
    assert!(!staged.diagnostics.has_errors(), "{}", staged.diagnostics);
    staged.value
}

/// What a machine is told that runs a page, whose database is on another one yet to be made.
pub(crate) fn told(
    web: deployix_core::spec::ServiceBuilder,
    with_disk: bool,
) -> Result<UserData, deployix_core::backend::CompileError> {
    let cloud = BackendId::new("cloud").unwrap();
    let db = functionality("db", server(5432).build().unwrap(), &[]).target("left").unwrap();
    let web = web.build().unwrap();
    let web = functionality("web", web, &["db"]).target("right").unwrap();
    let catalog = [db.shared(), web.shared()].into_iter().collect();
    let mut deployment = Deployment::new(name("shop"), vec![catalog]);
    deployment.infrastructure.networks.insert(name("rack"), Network::default());
    for text in ["left", "right"] {
        let mut target = Target::machine(name(text), cloud.clone());
        target.network = Some(name("rack"));
        deployment.infrastructure.targets.insert(name(text), target);
    }
    let registry = Registry::new().with(MemoryBackend::named(cloud));
    let connected = resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::new(), &registry))
        .then(|placed| connect(placed, &registry))
        .complete()
        .unwrap();
    let here = |unit: &deployix_core::backend::Unit<'_>| unit.site.target.name.as_str() == "right";
    let units: Vec<_> = connected.units().filter(here).collect();
    let disk = Disk {
        mount: vec![
            UserDataPart::Text("#!/bin/sh\nmount-later-0; ".to_owned()),
            UserDataPart::Output(OutputRef {
                resource: ResourceId::new("cloud/right/volume").unwrap(),
                output: "VolumeId".to_owned(),
            }),
            UserDataPart::Text(" \"$1\"\n".to_owned()),
        ],
    };
    let boot = FirstBoot::new(units[0].site, &units);
    DockerBackend::new().user_data(&if with_disk { boot.with_disk(&disk) } else { boot })
}

/// Every file of a target, by its path.
pub(crate) fn files(compiled: &Compiled, target: &str) -> BTreeMap<String, FileContent> {
    let here = |unit: &deployix_core::backend::Unit<'_>| unit.site.target.name.as_str() == target;
    let units: Vec<_> = compiled.connected().units().filter(here).collect();
    let artifacts = units.iter().filter_map(|unit| compiled.artifacts().get(unit.name));
    artifacts
        .chain(compiled.assembled().get(target))
        .flat_map(|artifact| &artifact.files)
        .map(|(path, content)| (path.to_string(), content.clone()))
        .collect()
}

/// The files as one text.
pub(crate) fn listing(files: &BTreeMap<String, FileContent>) -> String {
    let mut out = String::new();
    for (path, content) in files {
        let text = content.as_text().unwrap_or("(bytes)\n");
        let program = if content.executable { " (program)" } else { "" };
        write!(out, "==> {path}{program}\n{text}\n").unwrap();
    }
    out
}

/// Writes the files below a folder.
pub(crate) fn write(files: &BTreeMap<String, FileContent>, folder: &Path) {
    use std::os::unix::fs::PermissionsExt;

    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &content.bytes).unwrap();
        let mode = if content.executable { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// What is said, a line each.
pub(crate) fn said(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics
        .iter()
        .map(|found| {
            let remedy = found.remedy.as_deref().unwrap_or("");
            format!("{}: {} | {remedy}", found.code, found.message)
        })
        .collect()
}
