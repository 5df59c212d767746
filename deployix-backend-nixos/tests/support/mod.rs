//! What the tests share: deployments to compile, and the real Nix as an oracle.

pub(crate) mod nix;
pub(crate) mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use deployix_backend_nixos::{NixosBackend, NixosFunctionality, NixosTarget, Style};
use deployix_core::Name;
use deployix_core::backend::Registry;
use deployix_core::plan::{Compiled, compile};
use deployix_core::spec::{
    Catalog, Deployment, FileContent, FunctionalitySpec, Service, ServiceBuilder, Target,
    TargetKind,
};
use deployix_core::topology::{Assignments, Connected, connect, place, resolve};

/// The registry of a tool that knows NixOS alone.
pub(crate) fn registry() -> Registry {
    let nixos = NixosBackend::new();
    Registry::new().with(nixos.clone()).with_guest(nixos.backend_id().clone(), nixos)
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A functionality that runs something.
pub(crate) type Spec = FunctionalitySpec<Arc<dyn Service>>;

/// A NixOS machine with a known address.
pub(crate) fn machine(text: &str, address: &str) -> Target {
    let mut target = Target::machine(name(text), NixosBackend::new().backend_id().clone());
    target.address = Some(address.to_owned());
    target
}

/// A deployment of these functionalities on these targets.
pub(crate) fn deployment(
    functionalities: impl IntoIterator<Item = Spec>,
    targets: impl IntoIterator<Item = Target>,
) -> Deployment {
    let catalog: Catalog = functionalities.into_iter().map(FunctionalitySpec::shared).collect();
    let mut deployment = Deployment::new(name("zalora"), vec![catalog]);
    let targets = targets.into_iter().map(|target| (target.name.clone(), target));
    deployment.infrastructure.targets.extend(targets);
    deployment
}

/// A functionality that runs one service.
pub(crate) fn functionality(text: &str, service: ServiceBuilder) -> Spec {
    let service: Arc<dyn Service> = Arc::new(service.build().expect("a service"));
    FunctionalitySpec::new(text, service).expect("a name")
}

/// The same functionality, its units written down as modular services.
pub(crate) fn modular(mut functionality: Spec) -> Spec {
    let mut settings =
        functionality.extensions.get::<NixosFunctionality>().expect("settings").unwrap_or_default();
    settings.style = Style::Modular;
    functionality.extensions.insert(&settings).expect("JSON");
    functionality
}

/// Runs all stages up to compile.
pub(crate) fn try_compile(deployment: Deployment) -> (Compiled, Vec<String>) {
    let registry = registry();
    let staged = resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::default(), &registry))
        .then(|placed| connect(placed, &registry))
        .then(|connected| compile(connected, &registry, None));
    let errors = staged.diagnostics.errors().map(ToString::to_string).collect();
    (staged.value, errors)
}

/// The example of the repository, for NixOS.
pub(crate) fn example() -> Deployment {
    load("../examples/hydra/ops/deployment-nixos.toml")
}

/// A deployment that uses every field of a service.
pub(crate) fn everything() -> Deployment {
    load("tests/support/everything/deployment.toml")
}

fn load(file: &str) -> Deployment {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    deployix_core::load::load(&file).complete().expect("it loads").expect("a deployment")
}

/// What is connected of a deployment.
pub(crate) fn connected(deployment: Deployment) -> Connected {
    let registry = registry();
    resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::default(), &registry))
        .then(|placed| connect(placed, &registry))
        .complete()
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is compiled of a deployment, with a module for whatever its owner describes.
pub(crate) fn folder(deployment: Deployment) -> nix::Folder {
    let targets: Vec<Target> = deployment.infrastructure.targets.values().cloned().collect();
    let mut files = files(deployment);
    for target in targets {
        let settings = target.extensions.get::<NixosTarget>().expect("settings");
        for module in settings.unwrap_or_default().modules {
            files.insert(format!("{}/{module}", target.name), FileContent::plain("{ }\n"));
        }
    }
    nix::Folder::new(&files)
}

/// The files with the configurations of a target's machines, below the folder of all targets.
pub(crate) fn configurations(deployment: &Deployment) -> Vec<String> {
    let targets = deployment.infrastructure.targets.values();
    targets
        .flat_map(|target| {
            (0..target.kind.machines()).map(|machine| configuration(target, machine))
        })
        .collect()
}

/// The file with the configuration of one machine.
pub(crate) fn configuration(target: &Target, machine: u32) -> String {
    match target.kind {
        TargetKind::Machine => format!("{}/configuration.nix", target.name),
        _ => format!("{}/configuration-{machine}.nix", target.name),
    }
}

/// The files of a deployment that compiles, by target and path.
pub(crate) fn files(deployment: Deployment) -> BTreeMap<String, FileContent> {
    let (compiled, errors) = try_compile(deployment);
    assert!(errors.is_empty(), "{errors:#?}");
    let files = compiled.files();
    files
        .into_iter()
        .map(|((target, path), file)| (format!("{target}/{path}"), file.clone()))
        .collect()
}

/// One service on one machine, as its module's text.
pub(crate) fn module_of(service: ServiceBuilder) -> String {
    let files = files(deployment([functionality("web", service)], [machine("rack1", "10.0.0.1")]));
    String::from_utf8(files["rack1/modules/web.nix"].bytes.to_vec()).expect("UTF-8")
}

/// Why one service on one machine is refused.
pub(crate) fn refusal_of(service: ServiceBuilder) -> String {
    let (_, errors) =
        try_compile(deployment([functionality("web", service)], [machine("rack1", "10.0.0.1")]));
    assert!(!errors.is_empty(), "it compiles");
    errors.join("\n")
}
