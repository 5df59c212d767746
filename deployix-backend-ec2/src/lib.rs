//! Compiles Deployix specs to Amazon EC2 networks, machines and load balancers.
