//! The container that holds an instance's network namespace.
//!
//! It joins the networks, publishes the ports, loads the packet filter and sleeps. The program's
//! containers join its namespace: so those of a group share one loopback, none of them has the
//! capability to change the filter, and one that restarts comes back to the same addresses.

use std::collections::BTreeMap;

use deployix_core::{
    Digest, Name, RelativePath,
    backend::{CompileError, Remark},
    spec::FileContent,
};

use crate::{
    compose::{Restart, Service},
    dockerfile::{Dockerfile, From, Instruction, Stage},
    extension::DockerTarget,
    firewall::Firewall,
    image::install_script,
    naming::NETWORK_IMAGE,
};

/// The variable that carries the rules.
const RULES: &str = "FIREWALL";

/// Nobody: who sleeps once the rules are loaded.
const NOBODY: &str = "65534";

/// The build context of what loads the rules and sleeps, below its folder.
pub(crate) fn context(
    target: &DockerTarget,
) -> Result<BTreeMap<RelativePath, FileContent>, CompileError> {
    let script = format!(
        "printf %s \"${RULES}\" | nft -f -\n\
         exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sleep infinity"
    );
    let run = |script: String| ["/bin/sh", "-ec", &script].map(str::to_owned).to_vec();
    let file = Dockerfile {
        comment: vec![
            "Holds a network namespace: loads its packet filter, then sleeps without privileges."
                .to_owned(),
        ],
        stages: vec![Stage {
            from: From::Image(target.base_image.clone()),
            name: None,
            steps: vec![
                Instruction::Run(run(install_script(&["nftables"]))),
                Instruction::Entrypoint(run(script)),
            ],
        }],
    };
    let text = file
        .print()
        .map_err(|error| Remark::new(["extensions", "docker", "base-image"], error.to_string()))?;
    let path = RelativePath::new("Dockerfile")
        .map_err(|error| Remark::new(["extensions"], error.to_string()))?;
    Ok([(path, FileContent::plain(text.into_bytes()))].into())
}

/// Whether a container loads a packet filter before it sleeps.
#[cfg(feature = "live")]
pub(crate) fn loads_rules(service: &Service) -> bool {
    service.environment.contains_key(RULES)
}

/// What the image made from the context is called.
pub(crate) fn image(
    deployment: &Name,
    target: &Name,
    context: &BTreeMap<RelativePath, FileContent>,
) -> String {
    // File contents and paths always serialize.
    let contents = Digest::of(context).unwrap_or_else(|_| Digest::of_bytes(b""));
    crate::naming::image(deployment, target, NETWORK_IMAGE, contents)
}

/// The container, without networks and ports.
///
/// `image` is what loads the rules; without one it only sleeps.
pub(crate) fn service(target: &DockerTarget, image: Option<&str>, firewall: &Firewall) -> Service {
    let plain = Service {
        read_only: true,
        cap_drop: vec!["ALL".to_owned()],
        security_opt: vec!["no-new-privileges:true".to_owned()],
        restart: Some(Restart::UnlessStopped),
        // It only sleeps, so nothing is lost.
        stop_signal: Some("SIGKILL".to_owned()),
        ..Service::default()
    };
    match image {
        Some(image) => Service {
            image: Some(image.to_owned()),
            build: Some(format!("./{NETWORK_IMAGE}")),
            environment: [(RULES.to_owned(), firewall.print())].into(),
            // To load the rules, and to become nobody afterwards.
            cap_add: ["NET_ADMIN", "SETGID", "SETUID"].map(str::to_owned).to_vec(),
            ..plain
        },
        None => Service {
            image: Some(target.base_image.clone()),
            entrypoint: ["sleep", "infinity"].map(str::to_owned).to_vec(),
            user: Some(format!("{NOBODY}:{NOBODY}")),
            ..plain
        },
    }
}
