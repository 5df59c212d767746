//! What small deployments compile to, checked in and read by people.
//!
//! `real_docker_project.rs` feeds the same to the real tools.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use deployix_core::spec::{Catalog, FileContent, FunctionalitySpec, Group, ServiceSpec};

use crate::stage::{balance, compiled_whole, deployment, files, functionality, listing, server};

fn shop() -> deployix_core::spec::Deployment {
    let db = ServiceSpec::builder(["postgres", "-D", "/var/lib/db/data"])
        .debian(["postgresql"])
        .user("postgres")
        .initializer(["sh", "-c", "[ -s /var/lib/db/data/PG_VERSION ] || initdb /var/lib/db/data"])
        .state("/var/lib/db")
        .endpoint("sql", 5432)
        .ready_over_tcp("sql")
        .memory("256MiB")
        .cpus(0.5)
        .build()
        .unwrap();
    let web = server(3000)
        .env("DSN", "host=${upstream:db.example.com} password=${secret:db}")
        .env("GREETING", "it's $$HOME \"quoted\"")
        .file("/etc/web.conf", "max_servers 10\n")
        .file("/etc/web.key", "key = ${secret:web-key}\n")
        .ship("bin/helper", FileContent::program(*b"#!/bin/sh\nexit 0\n"))
        .build()
        .unwrap();
    let jobs = Group::new()
        .member("runner", ServiceSpec::builder(["sleep", "infinity"]).build().unwrap())
        .unwrap()
        .member("nightly", ServiceSpec::builder(["true"]).schedule("daily 03:30").build().unwrap())
        .unwrap();
    let web = functionality("web", web, &["db"]).replicas(2.try_into().unwrap());
    let jobs: FunctionalitySpec<Group> = functionality("jobs", jobs, &["db"]);
    let shared = [functionality("db", db, &[]).shared(), web.shared(), jobs.shared()];
    let mut deployment = deployment(shared.into_iter().collect::<Catalog>());
    balance(&mut deployment, "web", 443, 3000);
    deployment
}

#[test]
fn a_shop_compiles_to_these_files() {
    let compiled = compiled_whole(shop());
    insta::assert_snapshot!(listing(&files(&compiled, "box")));
}

#[test]
fn a_shop_compiles_to_these_resources() {
    let compiled = compiled_whole(shop());
    let lines: Vec<String> = compiled
        .resources()
        .values()
        .map(|resource| {
            let after: Vec<_> = resource.after().iter().map(ToString::to_string).collect();
            format!("{} of {} after [{}]", resource.id(), resource.owner(), after.join(", "))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
