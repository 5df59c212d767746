//! A program that starts fast in the bare base image, and deployments of the tests' own names.

use std::net::TcpListener;

use deployix_backend_docker::extension::DockerTarget;
use deployix_core::spec::{Catalog, Deployment, FileContent, ServiceBuilder, ServiceSpec};

use crate::stage::{self, name};

/// A small HTTP server in the Perl that every Debian has: it listens on the ports that its
/// arguments name and answers with a variable and a file.
const SERVER: &str = r#"#!/usr/bin/perl
use strict;
use IO::Socket::INET;
$SIG{PIPE} = 'IGNORE';
my $port = shift;
if (@ARGV && !fork) { exec $0, @ARGV }
my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 9, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
  while (<$client>) { last if /^\s*$/ }
  open my $file, '<', '/etc/greeting.conf';
  print $client "HTTP/1.0 200 OK\r\n\r\n$ENV{GREETING}|", <$file>, "|$ENV{HOSTNAME}\n";
  close $client;
}
"#;

/// That server as a service, ready once it answers on its first port.
pub(crate) fn server(ports: &[&str]) -> ServiceBuilder {
    let argv = std::iter::once("server").chain(ports.iter().copied());
    ServiceSpec::builder(argv)
        .ship("server", FileContent::program(SERVER.as_bytes()))
        .endpoint("http", ports[0].parse().unwrap())
        .ready_over_http("http", "/")
}

/// A deployment of the test's own name, in a range of its own.
pub(crate) fn deployment(what: &str, subnets: &str, catalog: Catalog) -> Deployment {
    let mut deployment = stage::deployment(catalog);
    deployment.name = name(&format!("deployix-test-{what}-{}", std::process::id()));
    let settings = DockerTarget { subnets: subnets.parse().unwrap(), ..DockerTarget::default() };
    let target = deployment.infrastructure.targets.get_mut("box").unwrap();
    target.extensions.insert(&settings).unwrap();
    deployment
}

/// A port that is free on this machine just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
