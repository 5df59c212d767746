//! What everything is called: Compose services, networks, volumes, images and resources.
//!
//! A [`Name`] holds letters, digits and hyphens alone, so names are joined by what none of them
//! can hold, and no two things are ever called the same: `web` or its replica `web_1`, its member
//! `web_1.worker`, that one's initializer `web_1.worker_init`, the namespace `web_1_network`, the
//! edge `web_db`.

use deployix_core::{
    AbsolutePath, Digest, Name, ResourceId,
    backend::{CompileError, Remark, Unit},
};

/// The id under which specs name this backend.
pub(crate) const BACKEND: &str = "docker";

/// The folder and image of what holds the network namespaces; no functionality is called so.
pub(crate) const NETWORK_IMAGE: &str = "_network";

/// The replicas of a functionality; a single one is called like it.
pub(crate) fn instances(name: &Name, replicas: u32) -> Vec<String> {
    match replicas {
        1 => vec![name.to_string()],
        replicas => (1..=replicas).map(|replica| format!("{name}_{replica}")).collect(),
    }
}

/// The container of one member of an instance.
pub(crate) fn container(instance: &str, member: Option<&Name>) -> String {
    match member {
        Some(member) => format!("{instance}.{member}"),
        None => instance.to_owned(),
    }
}

/// The container that holds an instance's network namespace.
pub(crate) fn namespace(instance: &str) -> String {
    format!("{instance}_network")
}

/// The container that runs before another's first start.
pub(crate) fn initializer(container: &str) -> String {
    format!("{container}_init")
}

/// The network of a consumer and its provider.
pub(crate) fn edge(consumer: &Name, provider: &Name) -> String {
    format!("{consumer}_{provider}")
}

/// The network over which a functionality reaches, or is reached from, outside the engine.
pub(crate) fn outside(name: &Name) -> String {
    format!("{name}_outside")
}

/// The network over which a functionality is reached from outside the engine and reaches nobody.
pub(crate) fn published(name: &Name) -> String {
    format!("{name}_published")
}

/// What the engine calls something of a target: unlike anything of another target or deployment.
pub(crate) fn on_engine(deployment: &Name, target: &Name, name: &str) -> String {
    format!("{}_{name}", project(deployment, target))
}

/// A name with the version of what bears it, so that two versions can stand side by side.
pub(crate) fn versioned(name: &str, version: Digest) -> String {
    format!("{name}.{}", version.short())
}

/// The volume of one of a container's directories.
pub(crate) fn volume(container: &str, path: &AbsolutePath) -> String {
    let path = path.relative();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let slug: String = path.bytes().map(|b| if plain(b) { char::from(b) } else { '.' }).collect();
    if path.bytes().all(|b| plain(b) || b == b'/') {
        format!("{container}_{slug}")
    } else {
        // Another path could look the same.
        format!("{container}_{slug}.{}", &Digest::of_bytes(path.as_bytes()).short()[..8])
    }
}

/// The Compose project of a deployment on a target.
pub(crate) fn project(deployment: &Name, target: &Name) -> String {
    format!("{deployment}_{target}")
}

/// The folder of a build context, below the target's.
pub(crate) fn folder(name: &Name, member: Option<&Name>) -> String {
    match member {
        Some(member) => format!("{name}/{member}"),
        None => name.to_string(),
    }
}

/// What an image is called; the version follows from its contents, so a changed one is built anew
/// by a plain `docker compose up`.
pub(crate) fn image(deployment: &Name, target: &Name, folder: &str, contents: Digest) -> String {
    let folder = folder.trim_start_matches('_');
    format!("deployix-{deployment}/{target}/{folder}:{}", contents.short())
}

/// A resource of a target.
pub(crate) fn resource(target: &Name, kind: &str, name: &str) -> Result<ResourceId, CompileError> {
    ResourceId::new(format!("{BACKEND}/{target}/{kind}/{name}"))
        .map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// What the engine calls the image, network or volume of a resource, by its id alone.
#[cfg(feature = "live")]
pub(crate) fn by_id(deployment: &Name, target: &Name, id: &ResourceId) -> Option<String> {
    let rest = id.as_str().strip_prefix(&format!("{BACKEND}/{target}/"))?;
    match rest.split_once('/')? {
        ("network" | "volume", name) => Some(on_engine(deployment, target, name)),
        ("image", name) => {
            let (folder, version) = name.rsplit_once('.')?;
            let folder = folder.trim_start_matches('_');
            Some(format!("deployix-{deployment}/{target}/{folder}:{version}"))
        }
        _ => None,
    }
}

/// The labels of everything that belongs to a functionality.
pub(crate) fn labels(unit: &Unit<'_>, member: Option<&Name>) -> Vec<(String, String)> {
    let mut labels = vec![
        ("deployix.deployment".to_owned(), unit.deployment.to_string()),
        ("deployix.functionality".to_owned(), unit.name.to_string()),
        ("deployix.target".to_owned(), unit.site.target.name.to_string()),
    ];
    labels.extend(member.map(|member| ("deployix.member".to_owned(), member.to_string())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_paths_that_look_alike_differ() {
        let volume = |path: &str| volume("web", &AbsolutePath::new(path).unwrap());
        assert_eq!(volume("/var/lib/web"), "web_var.lib.web");
        let names = ["/a/b", "/a.b", "/a_b", "/a b"].map(volume);
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[cfg(feature = "live")]
    #[test]
    fn an_id_tells_what_the_engine_calls_it() {
        let (shop, target) = (Name::new("shop").unwrap(), Name::new("box").unwrap());
        let version = Digest::of_bytes(b"");
        for folder in ["web", "web/worker", NETWORK_IMAGE] {
            let image = image(&shop, &target, folder, version);
            let id = crate::compile::image_id(&target, folder, &image).unwrap();
            assert_eq!(by_id(&shop, &target, &id), Some(image));
        }
        for kind in ["network", "volume"] {
            let id = resource(&target, kind, "web_var.lib").unwrap();
            assert_eq!(by_id(&shop, &target, &id), Some(on_engine(&shop, &target, "web_var.lib")));
        }
        let elsewhere = resource(&shop, "network", "web").unwrap();
        assert_eq!(by_id(&shop, &target, &elsewhere), None);
    }

    #[test]
    fn a_single_instance_is_called_like_its_functionality() {
        let name = Name::new("web").unwrap();
        assert_eq!(instances(&name, 1), ["web"]);
        assert_eq!(instances(&name, 2), ["web_1", "web_2"]);
    }
}
