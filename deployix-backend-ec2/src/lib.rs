//! Compiles Deployix specs to Amazon EC2 networks, machines and load balancers.

pub mod cidr;
pub mod request;
pub mod user_data;
