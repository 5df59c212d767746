//! How the machines behind a load balancer are checked, within what AWS takes.

use std::{collections::BTreeMap, num::NonZeroU16, ops::RangeInclusive};

use deployix_core::{
    backend::{CompileError, Remark},
    spec::{Protocol, Span},
};

use crate::extension::LoadBalancerSettings;

/// What a load balancer's settings say, with defaults filled in. Times are in seconds. What AWS
/// takes: Elastic Load Balancing API Reference, `CreateTargetGroup` and `TargetGroupAttribute`.
#[derive(Debug)]
pub(super) struct HealthCheck {
    /// The port at which all machines are checked; of each target group its own where it is `None`.
    pub(super) port: Option<NonZeroU16>,
    pub(super) path: Option<String>,
    pub(super) interval: u32,
    pub(super) timeout: Option<u32>,
    pub(super) healthy: u32,
    pub(super) unhealthy: u32,
    pub(super) deregistration_delay: u32,
}

/// Finds all that is wrong.
#[derive(Debug, Default)]
struct Findings(Vec<Remark>);

impl Findings {
    fn add(&mut self, key: &str, message: String, remedy: impl Into<String>) {
        self.0.push(Remark::new(["extensions", "ec2", key], message).remedy(remedy));
    }

    fn within(&mut self, key: &str, value: u64, range: RangeInclusive<u64>) -> u32 {
        if !range.contains(&value) {
            let (first, last) = (range.start(), range.end());
            let message = format!("{value} is not between {first} and {last}, as AWS takes it");
            self.add(key, message, format!("write one between {first} and {last}"));
        }
        u32::try_from(value).unwrap_or(u32::MAX)
    }
}

impl HealthCheck {
    /// The check that settings ask for, of machines that serve these ports.
    ///
    /// # Errors
    /// Everything that AWS would refuse.
    pub(super) fn of(
        wishes: &LoadBalancerSettings,
        ports: &BTreeMap<NonZeroU16, Protocol>,
    ) -> Result<Self, CompileError> {
        let mut wrong = Findings::default();
        let seconds = |span: Span| span.as_seconds();
        let interval = wishes.health_check_interval.map_or(10, seconds);
        let timeout = wishes.health_check_timeout.map(seconds);
        let delay = wishes.deregistration_delay.map_or(300, seconds);
        let check = Self {
            port: wishes.health_check_port,
            path: wishes.health_check_path.clone(),
            interval: wrong.within("health-check-interval", interval, 5..=300),
            timeout: timeout.map(|it| wrong.within("health-check-timeout", it, 2..=120)),
            healthy: wrong.within(
                "healthy-threshold",
                wishes.healthy_threshold.unwrap_or(2).into(),
                2..=10,
            ),
            unhealthy: wrong.within(
                "unhealthy-threshold",
                wishes.unhealthy_threshold.unwrap_or(2).into(),
                2..=10,
            ),
            deregistration_delay: wrong.within("deregistration-delay", delay, 0..=3600),
        };
        let check = check.in_time(&mut wrong);
        check.check_port(ports, &mut wrong);
        if let Some(path) = check.path.as_deref().filter(|path| !is_path(path)) {
            let message = format!("{path:?} is no path of at most 1024 printable characters");
            wrong.add("health-check-path", message, "write a path such as \"/healthz\"");
        }
        if wrong.0.is_empty() { Ok(check) } else { Err(CompileError { reasons: wrong.0 }) }
    }

    /// A check ends before the next one begins: AWS takes no timeout beyond the interval. Its own, of 10
    /// seconds over TCP and 6 over HTTP, is not asked for where it is.
    fn in_time(mut self, wrong: &mut Findings) -> Self {
        let Self { interval, timeout, .. } = self;
        match timeout {
            Some(timeout) if timeout > interval => wrong.add(
                "health-check-timeout",
                format!("a check may take {timeout} s, and the next one begins after {interval} s"),
                "write at most `health-check-interval`, which is 10 s where nothing is said",
            ),
            Some(_) => {}
            None => {
                let chosen = if self.path.is_some() { 6 } else { 10 };
                self.timeout = (interval < chosen).then_some(interval);
            }
        }
        self
    }

    /// Machines are checked over TCP, at a port that their load balancer may reach.
    fn check_port(&self, ports: &BTreeMap<NonZeroU16, Protocol>, wrong: &mut Findings) {
        let over_tcp = ports.iter().filter(|(_, protocol)| **protocol == Protocol::Tcp);
        let over_tcp: Vec<_> = over_tcp.map(|(port, _)| port.to_string()).collect();
        match self.port {
            Some(port) if over_tcp.contains(&port.to_string()) => {}
            Some(port) => {
                let message = format!(
                    "machines are checked over TCP, and their load balancer passes no TCP \
                     connections to port {port}, so it may not reach it"
                );
                let remedy = match over_tcp.as_slice() {
                    [] => "balance over a TCP endpoint as well".to_owned(),
                    ports => format!("write one of its TCP ports: {}", ports.join(", ")),
                };
                wrong.add("health-check-port", message, remedy);
            }
            None => {
                for (port, _) in ports.iter().filter(|(_, it)| **it == Protocol::Udp) {
                    let message = format!(
                        "machines behind port {port} over UDP can be checked over TCP only, and \
                         their load balancer may reach no other port"
                    );
                    let remedy = match over_tcp.first() {
                        Some(port) => format!("set `extensions.ec2.health-check-port` to {port}"),
                        None => "balance over a TCP endpoint, or give the consumers a pool of \
                                 machines"
                            .to_owned(),
                    };
                    wrong.0.push(Remark::new(["target-port"], message).remedy(remedy));
                }
            }
        }
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 1024 && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(wishes: &LoadBalancerSettings, ports: &[(u16, Protocol)]) -> Vec<String> {
        let ports =
            ports.iter().map(|&(port, protocol)| (NonZeroU16::new(port).unwrap(), protocol));
        match HealthCheck::of(wishes, &ports.collect()) {
            Ok(_) => Vec::new(),
            Err(error) => error.reasons.iter().map(|reason| format!("{reason:?}")).collect(),
        }
    }

    #[test]
    fn everything_that_aws_would_refuse_is_told_at_once() {
        let wishes = LoadBalancerSettings {
            health_check_interval: Some(Span::seconds(3)),
            unhealthy_threshold: Some(11),
            deregistration_delay: Some(Span::seconds(3601)),
            health_check_path: Some("healthz".to_owned()),
            health_check_port: NonZeroU16::new(81),
            ..LoadBalancerSettings::default()
        };
        let told = told(&wishes, &[(80, Protocol::Tcp)]);
        assert_eq!(told.len(), 5, "{told:#?}");
        for (line, key) in told.iter().zip([
            "health-check-interval",
            "unhealthy-threshold",
            "deregistration-delay",
            "health-check-port",
            "health-check-path",
        ]) {
            assert!(line.contains(key), "{line}");
        }
    }

    #[test]
    fn no_check_takes_longer_than_it_is_until_the_next() {
        let of = |interval: Option<u64>, timeout: Option<u64>, path: Option<&str>| {
            let wishes = LoadBalancerSettings {
                health_check_interval: interval.map(Span::seconds),
                health_check_timeout: timeout.map(Span::seconds),
                health_check_path: path.map(str::to_owned),
                ..LoadBalancerSettings::default()
            };
            let ports = [(NonZeroU16::new(80).unwrap(), Protocol::Tcp)];
            HealthCheck::of(&wishes, &ports.into()).map(|check| check.timeout)
        };
        assert_eq!(of(Some(20), Some(20), None).unwrap(), Some(20));
        assert_eq!(of(None, None, None).unwrap(), None);
        assert_eq!(of(Some(5), None, None).unwrap(), Some(5), "AWS's own takes longer");
        assert_eq!(of(Some(7), None, Some("/")).unwrap(), None);
        for (interval, timeout) in [(None, 11), (Some(20), 21)] {
            let told = format!("{:?}", of(interval, Some(timeout), None).unwrap_err());
            assert!(told.contains("health-check-timeout"), "{told}");
        }
    }

    #[test]
    fn a_udp_port_is_balanced_where_a_tcp_port_beside_it_is_checked() {
        let both = [(53, Protocol::Udp), (80, Protocol::Tcp)];
        let mut wishes = LoadBalancerSettings::default();
        let refused = told(&wishes, &both);
        assert!(
            refused.len() == 1 && refused[0].contains("health-check-port` to 80"),
            "{refused:?}"
        );
        wishes.health_check_port = NonZeroU16::new(80);
        assert_eq!(told(&wishes, &both), [""; 0]);
    }
}
