//! Networks, subnets, gateways, route tables.

use deployix_core::backend::BackendError;

use super::{
    call::{Filter, Write},
    job::{Job, Outputs},
    kind::{Kind, Once, State},
    shape::{InternetGateway, RouteTable, Subnet, Vpc},
    trace,
};
use crate::request::{
    CreateInternetGateway, CreateRouteTable, CreateSubnet, CreateVpc, Output, Tag, ZoneName,
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

    const ONCE: Once = Once::Looking;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.vpc_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateVpc) -> bool {
        self.cidr_block == request.cidr_block
    }

    fn state(&self) -> State {
        available(&self.state)
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.vpc_id)])
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        job.aws.remove(Write::DeleteVpc { vpc_id: self.vpc_id.clone() }).await
    }
}

impl Kind for Subnet {
    type Request = CreateSubnet;

    const ONCE: Once = Once::Name;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.subnet_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateSubnet) -> bool {
        let zone = request.availability_zone.as_ref();
        request.vpc_id.known() == Some(&self.vpc_id)
            && self.cidr_block == request.cidr_block
            && zone.is_none_or(|zone: &ZoneName| *zone == self.availability_zone)
    }

    fn state(&self) -> State {
        available(&self.state)
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.subnet_id), output(&self.availability_zone)])
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let holding = Filter::new("subnet-id", [self.subnet_id.as_str()]);
        let write = Write::DeleteSubnet { subnet_id: self.subnet_id.clone() };
        trace::remove(job, write, holding).await
    }
}

impl Kind for InternetGateway {
    type Request = CreateInternetGateway;

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
