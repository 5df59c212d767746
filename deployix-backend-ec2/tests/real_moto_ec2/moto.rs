//! [`Moto`]: an account of moto's, through the proxy and AWS's own SDK.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_ec2::types::Tag;
use deployix_backend_ec2::{
    engine,
    live::{Sdk, Timeouts},
};

use crate::{aws::Aws, proxy::Proxy, sdk::config_with_http, server, site::Account};

const REGIONS: [&str; 3] = ["ap-southeast-1", "eu-central-1", "us-east-1"];

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Moto {
    sdk: Arc<Sdk>,
    pub(crate) proxy: Arc<Proxy>,
    /// The same account with nothing going wrong and nothing counted.
    beside: Arc<Proxy>,
    before: Vec<String>,
}

/// Configuration for calls through a proxy.
pub(crate) async fn config(proxy: &Proxy, region: &'static str) -> SdkConfig {
    config_with_http(format!("http://{}", proxy.address), region).await
}

/// Time-outs with which a hanging call costs little.
pub(crate) fn timeouts() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.attempt = Duration::from_secs(4);
    timeouts
}

impl Moto {
    pub(crate) async fn new() -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(0);
        let server = server::server();
        let server = server.strip_prefix("http://").unwrap();
        let number = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        let account = format!("{:09}{number:03}", std::process::id());
        let aws = Arc::new(Aws::new(server, account));
        let proxy = Arc::new(Proxy::new(Arc::clone(&aws)).await);
        let beside = Arc::new(Proxy::new(aws).await);
        let sdk = Arc::new(Sdk::with(config(&proxy, "us-east-1").await).within(timeouts()));
        let before = Vec::new();
        let mut moto = Self { sdk, proxy, beside, before };
        moto.before = moto.all().await;
        moto
    }

    /// Everything in the account.
    async fn all(&self) -> Vec<String> {
        let mut all = Vec::new();
        for region in REGIONS {
            let config = config(&self.beside, region).await;
            let things = [of_ec2(&config).await, of_others(&config).await].concat();
            all.extend(things.into_iter().map(|line| format!("{region} {line}")));
        }
        all.sort();
        all
    }
}

impl Account for Moto {
    fn client(&self) -> Arc<dyn engine::Aws> {
        self.sdk.clone()
    }

    async fn things(&self) -> Vec<String> {
        let mut all = self.all().await;
        for line in &self.before {
            let at = all.iter().position(|it| it == line);
            all.remove(at.unwrap_or_else(|| panic!("{line:?} was there before and is gone")));
        }
        all
    }

    fn calls(&self) -> u64 {
        self.proxy.calls()
    }

    fn take_writes(&self) -> Vec<String> {
        self.proxy.take_writes()
    }

    fn refuse(&self, operation: &'static str, code: &'static str, message: &'static str) {
        let refusal = (code.to_owned(), message.to_owned());
        self.proxy.mood(|mood| {
            mood.refuses.insert(operation.to_owned(), refusal);
        });
    }
}

fn line<'t>(
    kind: &str,
    tags: impl IntoIterator<Item = (Option<&'t str>, Option<&'t str>)>,
) -> String {
    let (mut resource, mut digest) = ("of nobody", "");
    for tag in tags {
        match tag {
            (Some("deployix:resource"), Some(value)) => resource = value,
            (Some("deployix:digest"), Some(value)) => digest = value,
            _ => {}
        }
    }
    format!("{kind} {resource} {digest}")
}

fn ec2(kind: &str, tags: &[Tag]) -> String {
    line(kind, tags.iter().map(|tag| (tag.key(), tag.value())))
}

/// Every kind of thing that EC2 has here.
async fn of_ec2(config: &SdkConfig) -> Vec<String> {
    let to = aws_sdk_ec2::Client::new(config);
    let mut all = Vec::new();
    for it in to.describe_vpcs().send().await.unwrap().vpcs() {
        all.push(ec2("vpc", it.tags()));
    }
    for it in to.describe_subnets().send().await.unwrap().subnets() {
        all.push(ec2("subnet", it.tags()));
    }
    for it in to.describe_internet_gateways().send().await.unwrap().internet_gateways() {
        all.push(ec2(&format!("gateway attached {}", it.attachments().len()), it.tags()));
    }
    for it in to.describe_route_tables().send().await.unwrap().route_tables() {
        let subnets = it.associations().iter().filter(|it| it.subnet_id().is_some()).count();
        all.push(ec2(&format!("table {} {subnets}", it.routes().len()), it.tags()));
    }
    for it in to.describe_security_groups().send().await.unwrap().security_groups() {
        all.push(ec2("group", it.tags()));
    }
    let rules = to.describe_security_group_rules().send().await.unwrap();
    for it in rules.security_group_rules() {
        all.push(ec2("rule", it.tags()));
    }
    let interfaces = to.describe_network_interfaces().send().await.unwrap();
    for it in interfaces.network_interfaces() {
        all.push(ec2(&format!("interface {}", it.status().unwrap()), it.tag_set()));
    }
    for it in to.describe_addresses().send().await.unwrap().addresses() {
        let used = it.association_id().is_some();
        all.push(ec2(&format!("address used {used}"), it.tags()));
    }
    for it in to.describe_volumes().send().await.unwrap().volumes() {
        all.push(ec2(&format!("volume {}", it.state().unwrap()), it.tags()));
    }
    for it in to.describe_launch_templates().send().await.unwrap().launch_templates() {
        all.push(ec2("template", it.tags()));
    }
    let told = to.describe_instances().send().await.unwrap();
    for it in told.reservations().iter().flat_map(|it| it.instances()) {
        let state = it.state().unwrap().name().unwrap().as_str();
        if state != "terminated" {
            all.push(ec2(&format!("instance {state}"), it.tags()));
        }
    }
    all
}

/// Autoscaling groups, load balancers and what is behind them.
async fn of_others(config: &SdkConfig) -> Vec<String> {
    let mut all = Vec::new();
    let to = aws_sdk_autoscaling::Client::new(config);
    let groups = to.describe_auto_scaling_groups().send().await.unwrap();
    for it in groups.auto_scaling_groups() {
        let (machines, arns) = (it.instances().len(), it.target_group_arns().len());
        let tags = it.tags().iter().map(|tag| (tag.key(), tag.value()));
        all.push(line(&format!("scaling {machines} in {arns}"), tags));
    }
    let to = aws_sdk_elasticloadbalancingv2::Client::new(config);
    let mut tagged = Vec::new();
    for it in to.describe_load_balancers().send().await.unwrap().load_balancers() {
        let state = it.state().unwrap().code().unwrap();
        let arn = it.load_balancer_arn().unwrap();
        tagged.push((format!("balancer {state}"), arn.to_owned()));
        let listeners = to.describe_listeners().load_balancer_arn(arn).send().await.unwrap();
        for it in listeners.listeners() {
            tagged.push(("listener".to_owned(), it.listener_arn().unwrap().to_owned()));
        }
    }
    for it in to.describe_target_groups().send().await.unwrap().target_groups() {
        let arn = it.target_group_arn().unwrap();
        let health = to.describe_target_health().target_group_arn(arn).send().await.unwrap();
        let count = health.target_health_descriptions().len();
        tagged.push((format!("target group {count}"), arn.to_owned()));
    }
    let to = aws_sdk_ssm::Client::new(config);
    for it in to.describe_parameters().send().await.unwrap().parameters() {
        all.push(format!("parameter {}", it.name().unwrap()));
    }
    let to = aws_sdk_route53::Client::new(config);
    for zone in to.list_hosted_zones().send().await.unwrap().hosted_zones() {
        let records =
            to.list_resource_record_sets().hosted_zone_id(zone.id()).send().await.unwrap();
        for it in records.resource_record_sets() {
            all.push(format!("record {} {}", it.name(), it.r#type()));
        }
    }
    let to = aws_sdk_elasticloadbalancingv2::Client::new(config);
    for (kind, arn) in tagged {
        let told = to.describe_tags().resource_arns(arn).send().await.unwrap();
        let tags = told.tag_descriptions().iter().flat_map(|it| it.tags());
        all.push(line(&kind, tags.map(|tag| (tag.key(), tag.value()))));
    }
    all
}
