//! Calls that tell what stands.
//!
//! Pages are as large as each operation lets them be (API References of each service, each operation's
//! `MaxResults`, `MaxRecords`, `PageSize` or `MaxItems`).

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types as ec2;
use aws_sdk_elasticloadbalancingv2::types as balancing;
use aws_sdk_ssm::types as systems;

use super::{
    answer::{Statuses, all, next_page, page, page_from, tags, there},
    client::Clients,
    fault::sent,
    storage,
};
use crate::{
    engine::{
        call::{Answer, CallError, Filter, Page, Query, Read},
        is_not_found,
        shape::Instance,
    },
    request::Attribute,
};

/// `DescribeInstanceStatus` takes so many ids.
const STATUSES_AT_ONCE: usize = 100;

/// A page of an operation of EC2 that has filters and pages.
macro_rules! described {
    ($to:expr, $query:expr, $operation:ident, $things:ident, $at_once:literal) => {{
        let call = $to.$operation().max_results($at_once);
        let call = call.set_filters(filters($query)).set_next_token($query.next_token.clone());
        let told = sent(call, |call| call.send()).await?;
        page(told.$things(), told.next_token())?
    }};
}

pub(super) async fn read(clients: &Clients, read: &Read) -> Result<Answer, CallError> {
    let Clients {
        ec2: to, scaling, balancing, names, systems: parameters, storage: objects, ..
    } = clients;
    Ok(match read {
        Read::DescribeVpcs(query) => Answer::Vpc(described!(to, query, describe_vpcs, vpcs, 1000)),
        Read::DescribeSubnets(query) => {
            Answer::Subnet(described!(to, query, describe_subnets, subnets, 1000))
        }
        Read::DescribeInternetGateways(query) => Answer::InternetGateway(described!(
            to,
            query,
            describe_internet_gateways,
            internet_gateways,
            1000
        )),
        Read::DescribeRouteTables(query) => {
            Answer::RouteTable(described!(to, query, describe_route_tables, route_tables, 100))
        }
        Read::DescribeSecurityGroups(query) => Answer::SecurityGroup(described!(
            to,
            query,
            describe_security_groups,
            security_groups,
            1000
        )),
        Read::DescribeSecurityGroupRules(query) => Answer::SecurityGroupRule(described!(
            to,
            query,
            describe_security_group_rules,
            security_group_rules,
            1000
        )),
        Read::DescribeNetworkInterfaces(query) => Answer::NetworkInterface(described!(
            to,
            query,
            describe_network_interfaces,
            network_interfaces,
            1000
        )),
        Read::DescribeAddresses(query) => {
            let told =
                sent(to.describe_addresses().set_filters(filters(query)), |call| call.send())
                    .await?;
            Answer::Address(page(told.addresses(), None)?)
        }
        Read::DescribeVolumes(query) => {
            Answer::Volume(described!(to, query, describe_volumes, volumes, 1000))
        }
        Read::DescribeLaunchTemplates(query) => {
            let ids = parameter(query, TEMPLATE);
            let at_once = ids.is_none().then_some(200);
            let call = to.describe_launch_templates().set_launch_template_ids(ids);
            let call = call.set_filters(filters(query)).set_max_results(at_once);
            let told =
                sent(call.set_next_token(query.next_token.clone()), |call| call.send()).await?;
            Answer::LaunchTemplate(page(told.launch_templates(), told.next_token())?)
        }
        Read::DescribeLaunchTemplateVersions(query) => {
            let id = parameter(query, TEMPLATE).and_then(|ids| ids.into_iter().next());
            // Of all templates at once AWS tells the newest or the default ones alone.
            let version = if id.is_some() { "1" } else { "$Default" };
            let call = to.describe_launch_template_versions().set_launch_template_id(id);
            let call = call.versions(version).max_results(200).set_filters(filters(query));
            let told =
                sent(call.set_next_token(query.next_token.clone()), |call| call.send()).await?;
            let versions = page(told.launch_template_versions(), told.next_token())?;
            Answer::LaunchTemplateVersion(versions)
        }
        Read::DescribeInstances(query) => Answer::Instance(instances(to, query).await?),
        Read::DescribeInstanceStatus { instance_id } => {
            let call = to.describe_instance_status().instance_ids(instance_id.as_str());
            let told = sent(call, |call| call.send()).await?;
            let checks = told.instance_statuses().first().and_then(|it| it.instance_status());
            let state = checks.and_then(|it| it.status()).map(|it| it.as_str().to_owned());
            Answer::State(state)
        }
        Read::DescribeInstanceAttribute { instance_id } => {
            let call = to.describe_instance_attribute().instance_id(instance_id.as_str());
            let call = call.attribute(ec2::InstanceAttributeName::DisableApiTermination);
            let told = sent(call, |call| call.send()).await?;
            let value = told.disable_api_termination().and_then(|it| it.value());
            let value = there(value, "DisableApiTermination")?.to_string();
            Answer::Attributes(vec![Attribute::new(Attribute::PROTECTED, value)])
        }
        Read::DescribeAutoScalingGroups(query) => {
            let filter = |it: &Filter| {
                let values = Some(it.values.clone());
                scaling::Filter::builder().name(&it.name).set_values(values).build()
            };
            let call = scaling.describe_auto_scaling_groups().max_records(100);
            let call = call.set_auto_scaling_group_names(parameter(query, GROUP));
            let call = call.set_filters(own_filters(query, filter));
            let told =
                sent(call.set_next_token(query.next_token.clone()), |call| call.send()).await?;
            Answer::AutoScalingGroup(page(told.auto_scaling_groups(), told.next_token())?)
        }
        Read::DescribeInstanceRefreshes { auto_scaling_group_name: name } => {
            // The newest is told first.
            let call = scaling.describe_instance_refreshes().auto_scaling_group_name(name);
            let told = sent(call.max_records(1), |call| call.send()).await?;
            let newest = told.instance_refreshes().first();
            Answer::State(newest.and_then(|it| it.status()).map(|it| it.as_str().to_owned()))
        }
        Read::DescribeLoadBalancers(query) => {
            let call = balancing.describe_load_balancers();
            let call = call.set_load_balancer_arns(parameter(query, "load-balancer-arn"));
            let told = sent(call.set_marker(query.next_token.clone()), |call| call.send()).await?;
            // Others are none that this backend makes, and may lack what these have.
            let is_network = |it: &&balancing::LoadBalancer| {
                it.r#type() == Some(&balancing::LoadBalancerTypeEnum::Network)
            };
            let network = told.load_balancers().iter().filter(is_network);
            Answer::LoadBalancer(page(network, told.next_marker())?)
        }
        Read::DescribeTargetGroups(query) => {
            let call = balancing.describe_target_groups();
            let call = call.set_target_group_arns(parameter(query, "target-group-arn"));
            let told = sent(call.set_marker(query.next_token.clone()), |call| call.send()).await?;
            let is_machines = |it: &&balancing::TargetGroup| {
                it.target_type() == Some(&balancing::TargetTypeEnum::Instance)
            };
            let machines = told.target_groups().iter().filter(is_machines);
            Answer::TargetGroup(page(machines, told.next_marker())?)
        }
        Read::DescribeListeners(query) => {
            let balancer = parameter(query, "load-balancer-arn");
            let call = balancing.describe_listeners();
            let call = call.set_load_balancer_arn(balancer.and_then(|it| it.into_iter().next()));
            let call = call.set_listener_arns(parameter(query, "listener-arn"));
            let told = sent(call.set_marker(query.next_token.clone()), |call| call.send()).await?;
            Answer::Listener(page(told.listeners(), told.next_marker())?)
        }
        Read::DescribeTargetHealth(query) => {
            let group = parameter(query, "target-group-arn");
            let call = balancing.describe_target_health();
            let call = call.set_target_group_arn(group.and_then(|it| it.into_iter().next()));
            let told = sent(call, |call| call.send()).await?;
            Answer::TargetHealth(page(told.target_health_descriptions(), None)?)
        }
        Read::DescribeTags { resource_arns } => {
            let call = balancing.describe_tags().set_resource_arns(Some(resource_arns.clone()));
            let told = sent(call, |call| call.send()).await?;
            Answer::Tags(told.tag_descriptions().iter().map(tags).collect::<Result<_, _>>()?)
        }
        Read::DescribeLoadBalancerAttributes { load_balancer_arn } => {
            let call = balancing.describe_load_balancer_attributes();
            let told = sent(call.load_balancer_arn(load_balancer_arn), |call| call.send()).await?;
            Answer::Attributes(all(told.attributes())?)
        }
        Read::DescribeTargetGroupAttributes { target_group_arn } => {
            let call = balancing.describe_target_group_attributes();
            let told = sent(call.target_group_arn(target_group_arn), |call| call.send()).await?;
            Answer::Attributes(all(told.attributes())?)
        }
        Read::ListResourceRecordSets(query) => {
            let zone = parameter(query, "hosted-zone-id").and_then(|it| it.into_iter().next());
            let first = parameter(query, "start-record-name").and_then(|it| it.into_iter().next());
            let [name, kind, identifier] = match &query.next_token {
                Some(token) => page_from(token),
                None => [first, None, None],
            };
            let call = names.list_resource_record_sets().set_hosted_zone_id(zone);
            let call = call.set_start_record_name(name).max_items(300);
            let call = call.set_start_record_type(kind.map(|kind| kind.as_str().into()));
            let told =
                sent(call.set_start_record_identifier(identifier), |call| call.send()).await?;
            let next = next_page(&told);
            Answer::ResourceRecordSet(page(told.resource_record_sets(), next.as_deref())?)
        }
        Read::GetChange { id } => {
            let told = sent(names.get_change().id(id), |call| call.send()).await?;
            Answer::State(told.change_info().map(|it| it.status().as_str().to_owned()))
        }
        Read::DescribeParameters(query) => {
            let filter = |it: &Filter| {
                let values = Some(it.values.clone());
                let builder = systems::ParameterStringFilter::builder().key(&it.name);
                builder.option("Equals").set_values(values).build()
            };
            let filters = query.filters.iter().map(filter).collect::<Result<_, _>>();
            let filters = filters.map_err(super::InputError::from)?;
            let call = parameters.describe_parameters().set_parameter_filters(Some(filters));
            let call = call.max_results(50).set_next_token(query.next_token.clone());
            let told = sent(call, |call| call.send()).await?;
            Answer::Parameter(page(told.parameters(), told.next_token())?)
        }
        Read::ListTagsForResource { resource_id: name } => {
            let kind = systems::ResourceTypeForTagging::Parameter;
            let call = parameters.list_tags_for_resource().resource_type(kind);
            let told = sent(call.resource_id(name), |call| call.send()).await?;
            Answer::Tags(vec![(name.clone(), all(told.tag_list())?)])
        }
        Read::ListObjectsV2(query) => Answer::Object(storage::objects(objects, query).await?),
        Read::GetObjectTagging { bucket, key } => storage::tags(objects, bucket, key).await?,
    })
}

const TEMPLATE: &str = "launch-template-id";
const GROUP: &str = "auto-scaling-group-name";

/// The values of a filter that stands for a parameter.
pub(super) fn parameter(query: &Query, name: &str) -> Option<Vec<String>> {
    query.filters.iter().find(|it| it.name == name).map(|it| it.values.clone())
}

/// The filters that are filters of their operation.
fn own_filters<F>(query: &Query, filter: impl Fn(&Filter) -> F) -> Option<Vec<F>> {
    let own = query.filters.iter().filter(|it| ![TEMPLATE, GROUP].contains(&&*it.name));
    Some(own.map(filter).collect::<Vec<_>>()).filter(|all| !all.is_empty())
}

fn filters(query: &Query) -> Option<Vec<ec2::Filter>> {
    own_filters(query, |it| {
        ec2::Filter::builder().name(&it.name).set_values(Some(it.values.clone())).build()
    })
}

/// Instances, with the status of the checks of those that run.
async fn instances(to: &aws_sdk_ec2::Client, query: &Query) -> Result<Page<Instance>, CallError> {
    let call = to.describe_instances().max_results(1000).set_filters(filters(query));
    let told = sent(call.set_next_token(query.next_token.clone()), |call| call.send()).await?;
    let each = told.reservations().iter().flat_map(|it| it.instances());
    let mut page: Page<Instance> = page(each, told.next_token())?;
    let running = page.items.iter().filter(|it| it.state == "running");
    let running: Vec<_> = running.map(|it| it.instance_id.to_string()).collect();
    let mut statuses = Statuses::default();
    for some in running.chunks(STATUSES_AT_ONCE) {
        match status(to, some, &mut statuses).await {
            // One of them is not known there yet, or went meanwhile; so each is asked for.
            Err(error) if is_not_found(&error) => {
                for one in some {
                    match status(to, std::slice::from_ref(one), &mut statuses).await {
                        Err(error) if is_not_found(&error) => {}
                        other => other?,
                    }
                }
            }
            other => other?,
        }
    }
    for instance in &mut page.items {
        instance.status = match instance.state.as_str() {
            "running" => statuses.of(instance),
            _ => "not-applicable".to_owned(),
        };
    }
    Ok(page)
}

async fn status(
    to: &aws_sdk_ec2::Client,
    ids: &[String],
    statuses: &mut Statuses,
) -> Result<(), CallError> {
    let call = to.describe_instance_status().set_instance_ids(Some(ids.to_vec()));
    statuses.add(sent(call, |call| call.send()).await?.instance_statuses())
}
