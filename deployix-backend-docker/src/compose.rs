//! Compose text: a typed tree of the Compose specification's parts that are used here.
//!
//! Compose fills in `$NAME` and `${NAME}` from the caller's environment in every value; a `$$` is
//! a dollar sign. Every text of the tree passes [`text`], so what stands in the tree is what the
//! container gets, whatever the environment holds. Keys are not filled in and stay as they are.
//!
//! A map prints in the order of its keys, a service in the order of its fields, and what is empty
//! or unset is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::EmitError;
use crate::yaml::Yaml;

/// A whole Compose project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compose {
    /// What the file says about itself, a line each.
    pub comment: Vec<String>,
    /// The project's name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// The services.
    pub services: BTreeMap<String, Service>,
    /// The networks.
    pub networks: BTreeMap<String, Network>,
    /// The named volumes, with their labels.
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// The secrets, each with the file it is read from, relative to the Compose file.
    pub secrets: BTreeMap<String, String>,
}

/// One service: one container, here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The image, or what the built image is called.
    pub image: Option<String>,
    /// The folder with the Dockerfile to build it from, relative to the Compose file.
    pub build: Option<String>,
    /// What the container runs, in place of the image's entry point and command.
    pub entrypoint: Vec<String>,
    /// The entry point's arguments, in place of the image's.
    pub command: Vec<String>,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Who runs it, in place of the image's user.
    pub user: Option<String>,
    /// Whether a small init process reaps what the program leaves behind.
    pub init: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Folders kept in memory, with options: `/run:mode=0755`.
    pub tmpfs: Vec<String>,
    /// Named volumes.
    pub volumes: Vec<Mount>,
    /// Secrets to mount.
    pub secrets: Vec<SecretMount>,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// Capabilities given.
    pub cap_add: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// The service whose network namespace it shares, in place of networks of its own.
    pub shares_network_of: Option<String>,
    /// Networks it joins; none at all means no network but loopback.
    pub networks: BTreeMap<String, Attachment>,
    /// Names resolved to fixed addresses.
    pub extra_hosts: BTreeMap<String, String>,
    /// Ports published on the host.
    pub ports: Vec<Port>,
    /// How the engine learns that it works.
    pub healthcheck: Option<Healthcheck>,
    /// What must have happened before it starts.
    pub depends_on: BTreeMap<String, Condition>,
    /// When it is started again.
    pub restart: Option<Restart>,
    /// The signal that asks it to end.
    pub stop_signal: Option<String>,
    /// Milliseconds it gets to end.
    pub stop_grace_period: Option<u64>,
    /// Processors it may use, in thousandths.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory it may use.
    pub mem_limit: Option<u64>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A named volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The volume.
    pub volume: String,
    /// Where it appears, an absolute path.
    pub target: String,
}

/// A secret in a container: a file below `/run/secrets`, called like the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMount {
    /// The secret.
    pub name: String,
}

/// A service's place in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Names under which the network's other members find it.
    pub aliases: BTreeSet<String>,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The host's address it is published on.
    pub host_address: String,
    /// The host's port.
    pub published: u16,
    /// The container's port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command, run without a shell; exit status 0 means healthy.
    pub command: Vec<String>,
    /// Milliseconds between two tries.
    pub interval: u64,
    /// Milliseconds after which a try has failed.
    pub timeout: u64,
    /// Failures in a row after which the service is unhealthy.
    pub retries: u32,
    /// Milliseconds at the start in which failures do not count.
    pub start_period: u64,
}

/// What one service waits for in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Started,
    /// Its health check has passed.
    Healthy,
    /// It has ended with exit status 0.
    Completed,
}

/// When the engine starts a container again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Never: it runs once.
    Never,
    /// Whenever it ends or the engine starts, unless somebody stopped it.
    UnlessStopped,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Whether nothing outside it can be reached from it.
    pub internal: bool,
    /// Its range in CIDR notation; the engine chooses one unless given.
    pub subnet: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Compose {
    /// Prints the file.
    ///
    /// # Errors
    /// A value that no container can be given: see [`EmitError`].
    pub fn print(&self) -> Result<String, EmitError> {
        let mut root = Fields::new("compose");
        root.put("name", text(&self.name, "name")?);
        root.map("services", &self.services, service)?;
        root.map("networks", &self.networks, network)?;
        root.map("volumes", &self.volumes, |labels, place| {
            let mut fields = Fields::new(place);
            fields.texts_by_name("labels", labels)?;
            Ok(fields.end())
        })?;
        root.map("secrets", &self.secrets, |file, place| {
            let mut fields = Fields::new(place);
            fields.put("file", text(file, place)?);
            Ok(fields.end())
        })?;
        let mut out = String::new();
        for line in &self.comment {
            out.push_str(format!("# {}", line.replace(['\r', '\n'], " ")).trim_end());
            out.push('\n');
        }
        out.push_str(&root.end().print());
        Ok(out)
    }
}

fn service(service: &Service, place: &str) -> Result<Yaml, EmitError> {
    let mut fields = Fields::new(place);
    fields.text("image", service.image.as_deref())?;
    fields.text("build", service.build.as_deref())?;
    fields.texts("entrypoint", &service.entrypoint)?;
    fields.texts("command", &service.command)?;
    fields.texts_by_name("environment", &service.environment)?;
    fields.text("user", service.user.as_deref())?;
    fields.flag("init", service.init);
    fields.flag("read_only", service.read_only);
    fields.texts("tmpfs", &service.tmpfs)?;
    fields.list("volumes", &service.volumes, |mount, place| {
        let mut fields = Fields::new(place);
        fields.text("type", Some("volume"))?;
        fields.text("source", Some(&mount.volume))?;
        fields.text("target", Some(&mount.target))?;
        Ok(fields.end())
    })?;
    fields.list("secrets", &service.secrets, |mount, place| text(&mount.name, place))?;
    fields.texts("cap_drop", &service.cap_drop)?;
    fields.texts("cap_add", &service.cap_add)?;
    fields.texts("security_opt", &service.security_opt)?;
    fields.texts_by_name("sysctls", &service.sysctls)?;
    match &service.shares_network_of {
        Some(other) => fields.text("network_mode", Some(&format!("service:{other}")))?,
        None if service.networks.is_empty() => fields.text("network_mode", Some("none"))?,
        None => fields.map("networks", &service.networks, |attachment, place| {
            let mut fields = Fields::new(place);
            let aliases: Vec<String> = attachment.aliases.iter().cloned().collect();
            fields.texts("aliases", &aliases)?;
            Ok(fields.end())
        })?,
    }
    fields.texts_by_name("extra_hosts", &service.extra_hosts)?;
    fields.list("ports", &service.ports, |port, place| {
        let mut fields = Fields::new(place);
        fields.text("host_ip", Some(&port.host_address))?;
        fields.text("published", Some(&port.published.to_string()))?;
        fields.put("target", Yaml::Number(port.target.into()));
        fields.text("protocol", Some(port.protocol))?;
        Ok(fields.end())
    })?;
    if let Some(check) = &service.healthcheck {
        fields.put("healthcheck", healthcheck(check, &format!("{place}.healthcheck"))?);
    }
    let depends_on = service.depends_on.iter().map(|(other, condition)| {
        let condition = match condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        };
        (other.clone(), Yaml::Map(vec![("condition".into(), Yaml::Text(condition.into()))]))
    });
    fields.nonempty("depends_on", depends_on.collect());
    fields.text(
        "restart",
        service.restart.map(|restart| match restart {
            Restart::Never => "no",
            Restart::UnlessStopped => "unless-stopped",
        }),
    )?;
    fields.text("stop_signal", service.stop_signal.as_deref())?;
    fields.duration("stop_grace_period", service.stop_grace_period);
    if let Some(millis) = service.cpu_millis {
        let cpus = format!("{}.{:03}", millis / 1000, millis % 1000);
        fields.text("cpus", Some(&cpus))?;
    }
    if let Some(bytes) = service.mem_limit {
        fields.text("mem_limit", Some(&format!("{bytes}b")))?;
    }
    fields.texts_by_name("labels", &service.labels)?;
    Ok(fields.end())
}

fn healthcheck(check: &Healthcheck, place: &str) -> Result<Yaml, EmitError> {
    let mut fields = Fields::new(place);
    let test: Vec<String> =
        std::iter::once("CMD".to_owned()).chain(check.command.iter().cloned()).collect();
    fields.texts("test", &test)?;
    fields.duration("interval", Some(check.interval));
    fields.duration("timeout", Some(check.timeout));
    fields.put("retries", Yaml::Number(check.retries.into()));
    fields.duration("start_period", Some(check.start_period));
    Ok(fields.end())
}

fn network(network: &Network, place: &str) -> Result<Yaml, EmitError> {
    let mut fields = Fields::new(place);
    fields.flag("internal", network.internal);
    fields.texts_by_name("driver_opts", &network.options)?;
    if let Some(subnet) = &network.subnet {
        let range = Yaml::Map(vec![("subnet".into(), text(subnet, place)?)]);
        fields.put("ipam", Yaml::Map(vec![("config".into(), Yaml::List(vec![range]))]));
    }
    fields.texts_by_name("labels", &network.labels)?;
    Ok(fields.end())
}

/// A text that Compose reads back as it is: `$$` stands for a dollar sign.
fn text(value: &str, place: &str) -> Result<Yaml, EmitError> {
    if value.contains('\0') {
        return Err(EmitError::Nul { place: place.to_owned() });
    }
    Ok(Yaml::Text(value.replace('$', "$$")))
}

fn name(name: &str) -> Result<String, EmitError> {
    let valid =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if valid { Ok(name.to_owned()) } else { Err(EmitError::ComposeName { name: name.to_owned() }) }
}

/// A mapping while it is filled, leaving out what is empty.
struct Fields<'p> {
    place: &'p str,
    entries: Vec<(String, Yaml)>,
}

impl<'p> Fields<'p> {
    fn new(place: &'p str) -> Self {
        Self { place, entries: Vec::new() }
    }

    fn put(&mut self, key: &str, value: Yaml) {
        self.entries.push((key.to_owned(), value));
    }

    fn nonempty(&mut self, key: &str, entries: Vec<(String, Yaml)>) {
        if !entries.is_empty() {
            self.put(key, Yaml::Map(entries));
        }
    }

    fn text(&mut self, key: &str, value: Option<&str>) -> Result<(), EmitError> {
        if let Some(value) = value {
            self.put(key, text(value, &format!("{}.{key}", self.place))?);
        }
        Ok(())
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, Yaml::Bool(true));
        }
    }

    fn duration(&mut self, key: &str, millis: Option<u64>) {
        if let Some(millis) = millis {
            let text = if millis.is_multiple_of(1000) {
                format!("{}s", millis / 1000)
            } else {
                format!("{millis}ms")
            };
            self.put(key, Yaml::Text(text));
        }
    }

    fn list<T>(
        &mut self,
        key: &str,
        items: &[T],
        print: impl Fn(&T, &str) -> Result<Yaml, EmitError>,
    ) -> Result<(), EmitError> {
        if items.is_empty() {
            return Ok(());
        }
        let place = format!("{}.{key}", self.place);
        let items = items.iter().map(|item| print(item, &place)).collect::<Result<_, _>>()?;
        self.put(key, Yaml::List(items));
        Ok(())
    }

    fn texts(&mut self, key: &str, values: &[String]) -> Result<(), EmitError> {
        self.list(key, values, |value, place| text(value, place))
    }

    fn texts_by_name(
        &mut self,
        key: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<(), EmitError> {
        let place = format!("{}.{key}", self.place);
        let entries = values.iter().map(|(name, value)| {
            if name.contains('\0') {
                return Err(EmitError::Nul { place: place.clone() });
            }
            Ok((name.clone(), text(value, &format!("{place}.{name}"))?))
        });
        self.nonempty(key, entries.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// A map from names that Compose restricts.
    fn map<T>(
        &mut self,
        key: &str,
        values: &BTreeMap<String, T>,
        print: impl Fn(&T, &str) -> Result<Yaml, EmitError>,
    ) -> Result<(), EmitError> {
        let entries = values
            .iter()
            .map(|(key_of, value)| Ok((name(key_of)?, print(value, &format!("{key}.{key_of}"))?)));
        self.nonempty(key, entries.collect::<Result<_, _>>()?);
        Ok(())
    }

    fn end(self) -> Yaml {
        Yaml::Map(self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_sign_is_never_filled_in() {
        let service = Service { command: vec!["$HOME".into()], ..Service::default() };
        let compose = Compose {
            name: "p".into(),
            services: [("web".to_owned(), service)].into(),
            ..Compose::default()
        };
        let printed = compose.print().unwrap();
        assert!(printed.contains("command: [\"$$HOME\"]"), "{printed}");
    }

    #[test]
    fn what_no_container_can_be_given_is_refused_with_its_place() {
        let service = Service {
            environment: [("KEY".to_owned(), "a\0b".to_owned())].into(),
            ..Service::default()
        };
        let mut compose = Compose {
            name: "p".into(),
            services: [("web".to_owned(), service)].into(),
            ..Compose::default()
        };
        let nul = EmitError::Nul { place: "services.web.environment.KEY".into() };
        assert_eq!(compose.print(), Err(nul));
        compose.services = [("a b".to_owned(), Service::default())].into();
        assert_eq!(compose.print(), Err(EmitError::ComposeName { name: "a b".into() }));
    }
}
