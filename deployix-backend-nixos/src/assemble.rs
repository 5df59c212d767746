//! One target becomes a flake: a configuration for each of its machines.

use std::collections::BTreeMap;

use deployix_core::backend::{
    Artifact, Assembly, CompileError, Input, Inputs, Owner, Remark, Resource, Unit,
};
use deployix_core::spec::{FileContent, Target, TargetKind};
use deployix_core::{Name, RelativePath, ResourceId};

use crate::compile::{Form, unit_names, users};
use crate::extension::{NixosDeploy, NixosTarget};
use crate::syntax::{Attrs, Expr, print_with_comment};
use crate::{ipsec, machine, profile, vm_test};

/// One machine of a target.
pub(crate) struct Machine {
    pub(crate) index: u32,
    /// Its name in the flake and on the network.
    pub(crate) name: String,
    /// The file with its configuration.
    pub(crate) file: String,
    /// The file that imports the modules of what runs on it.
    pub(crate) imports: String,
}

/// Assembles a target.
pub(crate) fn assemble(assembly: &Assembly<'_>) -> Result<Artifact, CompileError> {
    let target = assembly.site.target;
    let mut reasons = clashes(assembly.units);
    let settings = machine::extension(target, &mut reasons);
    if target.guest.is_some() {
        reasons.push(
            Remark::new(
                ["guest"],
                "a NixOS machine has no guest; its services are part of its configuration",
            )
            .remedy("remove `guest`"),
        );
    }
    let profiles = profile::packages(assembly.deployment.as_str(), &settings, assembly.units);
    // Machines whose system is somebody else's have no configuration here.
    let machines = match settings.deploy {
        NixosDeploy::Profile => Vec::new(),
        NixosDeploy::System => machines(assembly, &mut reasons),
    };
    let (shared, remarks) = machine::base(&settings, assembly.units);
    let shared_imports: Vec<String> = settings.modules.iter().map(ToString::to_string).collect();
    let mut artifact = Artifact { remarks, ..Artifact::default() };
    let mut parts = Vec::new();
    for machine in &machines {
        match own(assembly, machine) {
            Ok(own) => parts.push((machine, own)),
            Err(error) => reasons.extend(error.reasons),
        }
    }
    if !reasons.is_empty() {
        reasons.sort();
        reasons.dedup();
        return Err(CompileError { reasons });
    }

    let write = |artifact: &mut Artifact, path: &str, what: &str, expr: Expr| {
        artifact.files.insert(relative(path)?, file(assembly, what, &expr)?);
        Ok::<(), CompileError>(())
    };
    if machines.is_empty() {
        // Only the flake.
    } else if matches!(target.kind, TargetKind::Machine) {
        for (machine, (mut settings, mut imports)) in parts {
            settings.merge(shared.clone());
            imports.extend(shared_imports.iter().cloned());
            write(&mut artifact, &machine.file, "Configuration", module(settings, imports))?;
        }
    } else {
        write(
            &mut artifact,
            CONFIGURATION,
            "What is common to all machines",
            module(shared, shared_imports),
        )?;
        for (machine, (settings, mut imports)) in parts {
            imports.insert(0, CONFIGURATION.to_owned());
            write(
                &mut artifact,
                &machine.file,
                &format!("Machine {}", machine.index),
                module(settings, imports),
            )?;
        }
    }
    let alone = flake(assembly, &settings, &machines, Attrs::new());
    write(&mut artifact, "flake.nix", "Machines", alone)?;
    for machine in &machines {
        let here = assembly.units.iter().filter(|unit| unit.machines.contains(&machine.index));
        let parts = here.filter(|unit| !profile::is_profile(unit));
        let imports = parts.map(|unit| format!("modules/{}.nix", unit.name)).collect();
        let what = format!("What runs on {}", machine.name);
        write(&mut artifact, &machine.imports, &what, module(Attrs::new(), imports))?;
    }
    if let Some(certificate) = certificate(assembly).filter(|_| !machines.is_empty()) {
        artifact.files.insert(relative(AUTHORITY)?, FileContent::plain(certificate));
    }
    for machine in &machines {
        let resource = system(assembly, machine, &settings, &mut artifact)?;
        artifact.resources.push(resource);
    }
    // Not part of any system: a test that changes changes no machine.
    if !machines.is_empty() {
        let parts: Vec<_> =
            assembly.units.iter().filter(|unit| !profile::is_profile(unit)).collect();
        let test = vm_test::test(assembly.deployment, &target.name, &settings, &machines, &parts)?;
        write(&mut artifact, &vm_test::path(&target.name), "Test", test)?;
    }
    // No system changes by what stands next to it in the flake.
    if !profiles.is_empty() {
        let flake = flake(assembly, &settings, &machines, profiles);
        artifact.files.insert(relative("flake.nix")?, file(assembly, "Machines", &flake)?);
        for (path, content) in profile::files() {
            artifact.files.insert(relative(&path)?, content);
        }
    }
    if machines.is_empty() {
        if !settings.modules.is_empty() {
            artifact.remarks.push(Remark::new(
                ["extensions", "nixos", "modules"],
                "they are left out, since the target is deployed by profiles alone and has no system",
            ));
        }
    } else if settings.modules.is_empty() {
        artifact.remarks.push(
            Remark::new(
                ["extensions", "nixos", "modules"],
                "nothing describes the machines' hardware, boot loader and way in (SSH), which NixOS \
                 needs to start",
            )
            .remedy("name modules for it, such as `modules = [\"hardware-configuration.nix\"]`"),
        );
    }
    Ok(artifact)
}

/// One of a target's Nix files.
fn file(assembly: &Assembly<'_>, what: &str, expr: &Expr) -> Result<FileContent, CompileError> {
    let comment = format!(
        "{what} of target {}.\nGenerated by deployix; changes here are lost.",
        assembly.site.target.name
    );
    let text = print_with_comment(&comment, expr)
        .map_err(|error| Remark::new(["extensions", "nixos"], error.to_string()))?;
    Ok(FileContent::plain(text))
}

const CONFIGURATION: &str = "configuration.nix";
/// The certificate of the deployment's CA.
const AUTHORITY: &str = "ca.crt";

fn relative(path: &str) -> Result<RelativePath, CompileError> {
    RelativePath::new(path).map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// A NixOS module with these imports.
fn module(mut settings: Attrs, imports: Vec<String>) -> Expr {
    if !imports.is_empty() {
        settings.set(["imports"], Expr::List(imports.into_iter().map(Expr::Path).collect()));
    }
    Expr::from(settings).module(["lib", "pkgs"])
}

fn machines(assembly: &Assembly<'_>, reasons: &mut Vec<Remark>) -> Vec<Machine> {
    let target = assembly.site.target;
    if matches!(target.kind, TargetKind::Machine) {
        return vec![Machine {
            index: 0,
            name: target.name.to_string(),
            file: CONFIGURATION.to_owned(),
            imports: "modules.nix".to_owned(),
        }];
    }
    let machine = |index| Machine {
        index,
        name: format!("{}-{index}", target.name),
        file: format!("configuration-{index}.nix"),
        imports: format!("modules-{index}.nix"),
    };
    let machines: Vec<Machine> = (0..target.kind.machines()).map(machine).collect();
    if machines.iter().any(|machine| machine.name.len() > 63) {
        reasons.push(
            Remark::new(
                ["name"],
                "with the number of a machine it is longer than the 63 characters of a host's name",
            )
            .remedy("choose a shorter name"),
        );
    }
    machines
}

/// What is a machine's own, and what it imports.
fn own(assembly: &Assembly<'_>, machine: &Machine) -> Result<(Attrs, Vec<String>), CompileError> {
    let target = assembly.site.target;
    let here = |machines: &[u32]| machines.contains(&machine.index);
    let units = assembly.units.iter().filter(|unit| here(unit.machines));
    // What cannot be compiled runs on with its module, and so with whom it talks to.
    let left = assembly.left.iter().filter(|left| here(left.machines));
    let left = left.flat_map(|left| left.upstreams.iter().chain(&left.consumers));
    let peers = ipsec::peers(units).chain(left);
    let imports = vec![machine.imports.clone()];
    let mut own = Attrs::new().with(["networking", "hostName"], machine.name.as_str());
    let here = ipsec::Here {
        identity: ipsec::identity(assembly.deployment, &target.name, target.kind, machine.index),
        authority: Expr::Path(AUTHORITY.to_owned()),
    };
    if let Some(connections) = ipsec::settings(&here, assembly.deployment, peers, Form::Module(""))?
    {
        if certificate(assembly).is_none() {
            return Err(ipsec::no_authority().into());
        }
        own.merge(connections);
    }
    Ok((own, imports))
}

fn certificate<'a>(assembly: &Assembly<'a>) -> Option<&'a str> {
    assembly.certificate_authority?.certificate.as_deref()
}

fn flake(
    assembly: &Assembly<'_>,
    settings: &NixosTarget,
    machines: &[Machine],
    profiles: Attrs,
) -> Expr {
    let target = assembly.site.target;
    let system = |machine: &Machine| {
        let modules = vec![Expr::Path(machine.file.clone())];
        Expr::var("nixpkgs")
            .select(["lib", "nixosSystem"])
            .apply(Attrs::new().with(["modules"], modules))
    };
    let systems: Attrs =
        machines.iter().map(|machine| (machine.name.as_str(), system(machine))).collect();
    let packages = Expr::var("nixpkgs").select(["legacyPackages", settings.system.as_str()]);
    let test = Expr::var("import")
        .apply(Expr::Path(vm_test::path(&target.name)))
        .apply(Attrs::new().with(["pkgs"], packages));
    let mut outputs = Attrs::new();
    if !systems.is_empty() {
        outputs.set(["nixosConfigurations"], systems);
        outputs.set(["checks", settings.system.as_str(), target.name.as_ref()], test);
    }
    if !profiles.is_empty() {
        outputs.set(["packages"], profiles);
    }
    let outputs = Expr::from(outputs).module(["nixpkgs"]);
    Attrs::new()
        .with(["description"], format!("{}: {}", assembly.deployment, target.name))
        .with(["inputs", "nixpkgs", "url"], settings.nixpkgs.as_str())
        .with(["outputs"], outputs)
        .into()
}

/// What a machine has whatever runs on it; the modules of that come after it, one by one.
fn system(
    assembly: &Assembly<'_>,
    machine: &Machine,
    settings: &NixosTarget,
    artifact: &mut Artifact,
) -> Result<Resource, CompileError> {
    let target = assembly.site.target;
    let id = system_id(target, machine.index)?;
    let own = ["flake.nix", CONFIGURATION, AUTHORITY, machine.file.as_str()];
    let own = artifact.files.iter().filter(|(path, _)| own.contains(&path.as_str()));
    let own: Vec<_> = own.map(|(path, content)| (path.clone(), content.clone())).collect();
    let files = own.iter().map(|(path, content)| (path.as_str(), artifact.file(content)));
    let files = Input::map(files.collect::<Vec<_>>());
    let inputs = Inputs::from([
        ("address", Input::from(address(target, machine.index))),
        ("build", settings.build.as_str().into()),
        ("confirm-within", i64::from(settings.confirm_within.get()).into()),
        ("files", files),
        ("host-modules", Input::list(settings.modules.iter().map(RelativePath::as_str))),
        ("imports", machine.imports.as_str().into()),
        ("machine", machine.name.as_str().into()),
    ]);
    let system = Resource::new(id, Owner::Target(target.name.clone()), inputs, []);
    // A system that does not start is found out on one machine of several.
    Ok(system.in_turn(target.name.clone(), machine.index))
}

/// The id of what a machine has whatever runs on it.
pub(crate) fn system_id(target: &Target, machine: u32) -> Result<ResourceId, CompileError> {
    let id = match target.kind {
        TargetKind::Machine => format!("nixos/{}/system", target.name),
        _ => format!("nixos/{}/system/{machine}", target.name),
    };
    ResourceId::new(id).map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// The id of a functionality on a target, as whatever it is deployed.
pub(crate) fn functionality_id(target: &Target, name: &Name) -> Result<ResourceId, CompileError> {
    ResourceId::new(format!("nixos/{}/functionality/{name}", target.name))
        .map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// Where a machine is reached: at its target's address where that is one machine, else at its own
/// in the private network.
pub(crate) fn address(target: &Target, machine: u32) -> Option<String> {
    let own = || target.private_address(machine).map(|address| address.to_string());
    match target.kind {
        TargetKind::Machine => target.address.clone().or_else(own),
        _ => own(),
    }
}

/// What cannot stand side by side on one machine.
fn clashes(units: &[Unit<'_>]) -> Vec<Remark> {
    let mut reasons = Vec::new();
    let mut names = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut states = BTreeMap::new();
    for unit in units {
        let mut clash = |with: &str, what: String, remedy: &str| {
            let message = format!("`{with}` and `{}` {what} on one machine", unit.name);
            reasons.push(Remark::new(["name"], message).remedy(remedy));
        };
        for &machine in unit.machines {
            for service in unit_names(unit) {
                let what = format!("both have a service called `{service}`");
                if let Some(with) = names.insert((machine, service), unit.name.as_str()) {
                    clash(with, what, "rename one of them");
                }
            }
            for ((_, spec), user) in unit.service.members().zip(users(unit)) {
                for (path, file) in &spec.files {
                    match files.insert((machine, path), (unit.name.as_str(), file)) {
                        Some((with, other)) if other != file => {
                            clash(
                                with,
                                format!("put different files at `{path}`"),
                                "choose different paths",
                            );
                        }
                        _ => {}
                    }
                }
                for path in &spec.state {
                    match states.insert((machine, path), (unit.name.as_str(), user.clone())) {
                        Some((with, other)) if other != user => clash(
                            with,
                            format!("keep their state in `{path}` as different users"),
                            "give each a directory of its own, or both the same `user`",
                        ),
                        _ => {}
                    }
                }
            }
        }
    }
    reasons
}
