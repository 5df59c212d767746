//! Networks, subnets, gateways, route tables.

use deployix_core::backend::{BackendError, ErrorKind};

use super::{
    call::{Filter, Write},
    job::{Job, Outputs},
    kind::{Kind, Once, State, converge, own},
    shape::{InternetGateway, RouteTable, Subnet, Vpc},
    trace,
};
use crate::{
    cidr::overlap,
    request::{CreateInternetGateway, CreateRouteTable, CreateSubnet, CreateVpc, Output, Tag},
};

/// An output by the name of its type.
pub(super) fn output<T: Output + ToString>(value: &T) -> (String, String) {
    (T::NAME.to_owned(), value.to_string())
}

/// The tags of an EC2 request, as the trait wants them.
macro_rules! tags_of_ec2_requests {
    () => {
        fn tags(&self) -> &[Tag] {
            &self.tags
        }

        fn add_tags(request: &mut Self::Request, tags: &[Tag]) {
            for specification in &mut request.tag_specifications {
                specification.tags.extend_from_slice(tags);
                specification.tags.sort();
            }
        }

        fn compiled_tags(request: &Self::Request) -> Vec<Tag> {
            let all = request.tag_specifications.iter();
            all.flat_map(|specification| specification.tags.clone()).collect()
        }
    };
}
pub(super) use tags_of_ec2_requests;

fn available(state: &str) -> State {
    if state == "available" { State::Ready } else { State::Pending(format!("it is {state}")) }
}

impl Kind for Vpc {
    type Request = CreateVpc;

    const NOUN: &'static str = "the VPC";
    const ONCE: Once = Once::Looking;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.vpc_id.to_string()
    }

    /// Always: what runs in it would go with it. Another block is refused.
    fn fits(&self, _: &Job<'_>, _: &CreateVpc) -> bool {
        true
    }

    fn state(&self) -> State {
        available(&self.state)
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.vpc_id)])
    }

    async fn adjust(&self, _: &Job<'_>, request: &CreateVpc) -> Result<bool, BackendError> {
        if self.cidr_block == request.cidr_block {
            return Ok(false);
        }
        let Self { vpc_id, cidr_block, .. } = self;
        let message = format!(
            "{vpc_id} is {cidr_block}, which AWS does not change: set `extensions.ec2.cidr` of the \
             network to {cidr_block} again, or `destroy` the deployment first, so that it is made \
             anew as {}; what is in it is kept as it is",
            request.cidr_block
        );
        Err(BackendError::permanent(ErrorKind::Invalid, "CreateVpc", message).as_it_was())
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        job.aws.remove(Write::DeleteVpc { vpc_id: self.vpc_id.clone() }).await
    }
}

impl Kind for Subnet {
    type Request = CreateSubnet;

    const NOUN: &'static str = "the subnet";
    const ONCE: Once = Once::Name;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.subnet_id.to_string()
    }

    /// In whatever zone: what is in it would go with it. Another zone is refused.
    fn fits(&self, _: &Job<'_>, request: &CreateSubnet) -> bool {
        request.vpc_id.known() == Some(&self.vpc_id) && self.cidr_block == request.cidr_block
    }

    fn state(&self) -> State {
        available(&self.state)
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.subnet_id), output(&self.availability_zone)])
    }

    async fn adjust(&self, _: &Job<'_>, request: &CreateSubnet) -> Result<bool, BackendError> {
        let Self { subnet_id, availability_zone: is, cidr_block, .. } = self;
        let Some(zone) = request.availability_zone.as_ref().filter(|zone| *zone != is) else {
            return Ok(false);
        };
        let message = format!(
            "{subnet_id}, {cidr_block}, is in {is}, and AWS moves none to {zone}: set \
             `extensions.ec2.subnet-cidrs` of the network to a block that none of its subnets has yet, \
             so that one is made beside it, or `destroy` the deployment first; what is in it is kept \
             as it is"
        );
        Err(BackendError::permanent(ErrorKind::Invalid, "CreateSubnet", message).as_it_was())
    }

    /// One of the deployment's own: two subnets never have addresses in common, so no other can be
    /// made beside it.
    async fn in_the_way(
        job: &Job<'_>,
        request: &CreateSubnet,
    ) -> Result<Option<String>, BackendError> {
        let all = subnets(job, request).await?;
        let other = all.into_iter().find(|it| overlap(it.cidr_block, request.cidr_block));
        Ok(other.map(|it| {
            let (id, block, zone) = (it.subnet_id, it.cidr_block, it.availability_zone);
            format!(
                "{id} of this deployment, {block} in {zone}, has these addresses, and stays until \
                 what is in it has moved to a new subnet beside it: set \
                 `extensions.ec2.subnet-cidrs` of the network to blocks that none of its subnets has \
                 yet, or `destroy` the deployment first; what is in it is kept as it is"
            )
        }))
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let holding = Filter::new("subnet-id", [self.subnet_id.as_str()]);
        let write = Write::DeleteSubnet { subnet_id: self.subnet_id.clone() };
        trace::remove(job, write, holding).await
    }
}

/// The deployment's own subnets of the network that one is to be in.
async fn subnets(job: &Job<'_>, request: &CreateSubnet) -> Result<Vec<Subnet>, BackendError> {
    let mut all: Vec<Subnet> = own(job, None).await?;
    all.retain(|it| request.vpc_id.known() == Some(&it.vpc_id));
    Ok(all)
}

/// Makes a subnet what it should be. Where nobody says in which zone, it is in that of the one before,
/// so that disks come along.
pub(super) async fn subnet(job: &Job<'_>, request: &CreateSubnet) -> Result<Outputs, BackendError> {
    let mut request = request.clone();
    if request.availability_zone.is_none() {
        let all = subnets(job, &request).await?;
        let own = all.iter().find(|it| it.cidr_block == request.cidr_block);
        request.availability_zone = own.or(all.first()).map(|it| it.availability_zone.clone());
    }
    converge::<Subnet>(job, &request).await
}

impl Kind for InternetGateway {
    type Request = CreateInternetGateway;

    const NOUN: &'static str = "the internet gateway";
    const ONCE: Once = Once::Looking;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.internet_gateway_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, _: &CreateInternetGateway) -> bool {
        true
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.internet_gateway_id)])
    }

    fn is_used(&self) -> bool {
        !self.attachments.is_empty()
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        self.detach(job).await?;
        let internet_gateway_id = self.internet_gateway_id.clone();
        job.aws.remove(Write::DeleteInternetGateway { internet_gateway_id }).await
    }
}

impl InternetGateway {
    /// Takes it from its network.
    pub(super) async fn detach(&self, job: &Job<'_>) -> Result<(), BackendError> {
        for vpc_id in self.attachments.clone() {
            let holding = Filter::new("vpc-id", [vpc_id.as_str()]);
            let internet_gateway_id = self.internet_gateway_id.clone();
            let write = Write::DetachInternetGateway { internet_gateway_id, vpc_id };
            trace::remove(job, write, holding).await?;
        }
        Ok(())
    }
}

impl Kind for RouteTable {
    type Request = CreateRouteTable;

    const NOUN: &'static str = "the route table";
    const ONCE: Once = Once::Token;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.route_table_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateRouteTable) -> bool {
        request.vpc_id.known() == Some(&self.vpc_id)
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.route_table_id)])
    }

    fn is_used(&self) -> bool {
        !self.associations.is_empty()
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        job.aws
            .remove(Write::DeleteRouteTable { route_table_id: self.route_table_id.clone() })
            .await
    }
}
