//! What a container is made from, in the engine's own words.

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, Mount,
    MountType, MountVolumeOptions, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::compose::{Attachment, Healthcheck, Restart, Service};

/// Nanoseconds in a millisecond.
const NANOS: i64 = 1_000_000;

/// What a service's container is made from, apart from its networks.
pub(super) fn body(
    service: &Service,
    labels: impl IntoIterator<Item = (String, String)>,
) -> ContainerCreateBody {
    let volumes = service.volumes.iter().map(|mount| volume(&mount.volume, &mount.target, false));
    let restart = match service.restart {
        Some(Restart::UnlessStopped) => RestartPolicyNameEnum::UNLESS_STOPPED,
        Some(Restart::Never) | None => RestartPolicyNameEnum::NO,
    };
    let tmpfs = service.tmpfs.iter().map(|folder| {
        let (path, options) = folder.split_once(':').unwrap_or((folder, ""));
        (path.to_owned(), options.to_owned())
    });
    let hosts = service.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}"));
    let mut bindings = Vec::new();
    for port in &service.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_address.clone()),
            host_port: Some(port.published.to_string()),
        };
        let inside = format!("{}/{}", port.target, port.protocol);
        // One port inside may be published several times.
        match bindings
            .iter_mut()
            .find(|(other, _): &&mut (String, Option<Vec<_>>)| *other == inside)
        {
            Some((_, Some(bindings))) => bindings.push(binding),
            _ => bindings.push((inside, Some(vec![binding]))),
        }
    }
    let labels = service.labels.clone().into_iter().chain(labels);
    ContainerCreateBody {
        image: service.image.clone(),
        entrypoint: some(&service.entrypoint),
        cmd: some(&service.command),
        env: Some(
            service.environment.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        ),
        user: service.user.clone(),
        labels: Some(labels.collect()),
        healthcheck: service.healthcheck.as_ref().map(health),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(|millis| whole(millis.div_ceil(1000))),
        exposed_ports: Some(bindings.iter().map(|(inside, _)| inside.clone()).collect()),
        host_config: Some(HostConfig {
            init: Some(service.init),
            readonly_rootfs: Some(service.read_only),
            tmpfs: Some(tmpfs.collect()),
            mounts: Some(volumes.collect()),
            cap_drop: some(&service.cap_drop),
            cap_add: some(&service.cap_add),
            security_opt: some(&service.security_opt),
            sysctls: Some(service.sysctls.clone().into_iter().collect()),
            extra_hosts: Some(hosts.collect()),
            port_bindings: Some(bindings.into_iter().collect()),
            restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
            nano_cpus: service.cpu_millis.map(|millis| whole(millis).saturating_mul(NANOS)),
            memory: service.mem_limit.map(whole),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Puts a container into another's network namespace.
pub(super) fn share_network(body: &mut ContainerCreateBody, of: &str) {
    let host = body.host_config.get_or_insert_default();
    host.network_mode = Some(format!("container:{of}"));
}

/// Puts a container into one network, or into none; it joins others later.
pub(super) fn join_network(
    body: &mut ContainerCreateBody,
    network: Option<(&String, EndpointSettings)>,
) {
    let host = body.host_config.get_or_insert_default();
    match network {
        Some((name, endpoint)) => {
            host.network_mode = Some(name.clone());
            let endpoints = [(name.clone(), endpoint)].into();
            body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
        }
        None => host.network_mode = Some("none".to_owned()),
    }
}

/// A place in a network, with its aliases or without.
pub(super) fn endpoint(attachment: &Attachment, with_aliases: bool) -> EndpointSettings {
    let aliases: Vec<_> = attachment.aliases.iter().cloned().collect();
    EndpointSettings {
        aliases: Some(aliases).filter(|aliases| with_aliases && !aliases.is_empty()),
        ..EndpointSettings::default()
    }
}

/// The same, at an address of its own where one is given.
pub(super) fn endpoint_at(
    attachment: &Attachment,
    with_aliases: bool,
    address: Option<String>,
) -> EndpointSettings {
    let fixed = |address| EndpointIpamConfig {
        ipv4_address: Some(address),
        ..EndpointIpamConfig::default()
    };
    EndpointSettings { ipam_config: address.map(fixed), ..endpoint(attachment, with_aliases) }
}

/// A named volume in a container.
pub(super) fn volume(name: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        source: Some(name.to_owned()),
        target: Some(target.to_owned()),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// A volume that takes nothing over from the image.
pub(super) fn bare_volume(name: &str, target: &str, read_only: bool) -> Mount {
    let options = MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() };
    Mount { volume_options: Some(options), ..volume(name, target, read_only) }
}

fn health(check: &Healthcheck) -> HealthConfig {
    let nanos = |millis| Some(whole(millis).saturating_mul(NANOS));
    HealthConfig {
        test: Some(
            std::iter::once("CMD".to_owned()).chain(check.command.iter().cloned()).collect(),
        ),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: Some(check.retries.into()),
        start_period: nanos(check.start_period),
        start_interval: None,
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn some<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}
