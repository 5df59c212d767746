//! [`Aws`]: an account of moto's, with what AWS does and moto does not.
//!
//! moto 5.2 makes a second thing with the same client token; its load balancers have no network
//! interfaces; a machine's first disk has not the size of its image; no launch template protects machines
//! from being ended; a rule for ESP needs ports; and a disk is detached only by who says from what.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::Mutex;

use crate::wire::{Answer, Request};

/// One account, in which everything happens one after the other.
#[derive(Debug)]
pub(crate) struct Aws {
    moto: String,
    account: String,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// What was asked for with a token, and what was answered.
    tokens: BTreeMap<String, (String, Answer)>,
    /// The machines that disks are attached to.
    attached: BTreeMap<String, String>,
    /// The network interfaces of load balancers.
    interfaces: BTreeMap<String, Vec<String>>,
    /// Regions and names of the launch templates whose machines are protected from being ended.
    protecting: BTreeSet<(String, String)>,
}

impl Aws {
    pub(crate) fn new(moto: &str, account: String) -> Self {
        Self { moto: moto.to_owned(), account, memory: Mutex::default() }
    }

    async fn send(&self, request: &Request) -> Answer {
        request.send(&self.moto, &self.account).await.unwrap()
    }

    pub(crate) async fn carry_out(&self, request: &Request) -> Answer {
        let mut memory = self.memory.lock().await;
        let token = request.parameter("ClientToken");
        let key = format!("{} {} {token}", request.region, request.action);
        match memory.tokens.get(&key) {
            Some((asked, answer)) if *asked == request.body => return answer.clone(),
            Some(_) => {
                let code = "IdempotentParameterMismatch";
                return Answer::error("ec2", 400, code, "The token was used for something else");
            }
            None => {}
        }
        let mut moto = for_moto(request);
        if request.action == "DetachVolume"
            && let Some(machine) = memory.attached.get(request.parameter("VolumeId"))
        {
            moto = moto.and("InstanceId", machine);
        }
        let answer = self.send(&moto).await;
        if answer.status != 200 {
            return answer;
        }
        if !token.is_empty() {
            memory.tokens.insert(key, (request.body.clone(), answer.clone()));
        }
        match request.action.as_str() {
            "AttachVolume" => {
                let (disk, machine) =
                    (request.parameter("VolumeId"), request.parameter("InstanceId"));
                memory.attached.insert(disk.to_owned(), machine.to_owned());
            }
            "CreateLaunchTemplate"
                if request.parameter("LaunchTemplateData.DisableApiTermination") == "true" =>
            {
                let name = request.parameter("LaunchTemplateName").to_owned();
                memory.protecting.insert((request.region.clone(), name));
            }
            "RunInstances" => {
                let template = request.parameter("LaunchTemplate.LaunchTemplateName").to_owned();
                if memory.protecting.contains(&(request.region.clone(), template)) {
                    let machine = answer.element("instanceId").unwrap();
                    let protect = [
                        ("Action", "ModifyInstanceAttribute"),
                        ("InstanceId", machine),
                        ("DisableApiTermination.Value", "true"),
                    ];
                    self.send(&ec2(&request.region, &protect)).await;
                }
            }
            "CreateLoadBalancer" => {
                let arn = answer.element("LoadBalancerArn").unwrap().to_owned();
                let made = self.interfaces(request, &arn).await;
                memory.interfaces.insert(arn, made);
            }
            "DeleteLoadBalancer" => {
                let going = memory.interfaces.remove(request.parameter("LoadBalancerArn"));
                for id in going.unwrap_or_default() {
                    let gone = [("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", &id)];
                    self.send(&ec2(&request.region, &gone)).await;
                }
            }
            _ => {}
        }
        answer
    }

    /// Makes the network interfaces of a load balancer: one in each subnet.
    async fn interfaces(&self, request: &Request, arn: &str) -> Vec<String> {
        let description = format!("ELB {}", arn.split_once("loadbalancer/").unwrap().1);
        let subnets = request.parameters.iter().filter(|(key, _)| key.starts_with("Subnets."));
        let mut made = Vec::new();
        for (_, subnet) in subnets {
            let wish = [
                ("Action", "CreateNetworkInterface"),
                ("SubnetId", subnet.as_str()),
                ("Description", &description),
            ];
            let answer = self.send(&ec2(&request.region, &wish)).await;
            made.push(answer.element("networkInterfaceId").unwrap().to_owned());
        }
        made
    }
}

/// A request as moto takes it: each disk of a launch template has a size, and a rule for a protocol
/// without ports has ports all the same.
fn for_moto(request: &Request) -> Request {
    let keys = || request.parameters.keys();
    let mut missing = Vec::new();
    match request.action.as_str() {
        "CreateLaunchTemplate" => {
            let disks = keys().filter_map(|key| key.strip_suffix(".Ebs.Encrypted"));
            missing.extend(disks.map(|disk| (format!("{disk}.Ebs.VolumeSize"), "8")));
        }
        "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => {
            for rule in keys().filter_map(|key| key.strip_suffix(".IpProtocol")) {
                missing.extend(["FromPort", "ToPort"].map(|port| (format!("{rule}.{port}"), "-1")));
            }
        }
        _ => {}
    }
    missing.retain(|(key, _)| request.parameter(key).is_empty());
    missing.iter().fold(request.clone(), |request, (key, value)| request.and(key, value))
}

fn ec2(region: &str, parameters: &[(&str, &str)]) -> Request {
    let version = [("Version", "2016-11-15")];
    Request::unsigned(region, &[parameters, &version].concat())
}
