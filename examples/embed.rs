//! Another Rust tool embeds Deployix: the hydra deployment of `examples/hydra`, built without
//! reading any spec file, by recipes of the tool's own.
//!
//! What comes out is, byte for byte, what the files give; that is asserted.
//!
//! ```console
//! $ cargo run --example embed
//! ```

use std::{collections::BTreeSet, error::Error, num::NonZeroU32, path::Path, sync::Arc};

use deployix::{
    core::{
        RelativePath,
        load::load,
        plan::{Compiled, compile_anew},
        spec::{
            Deployment, DeploymentBuilder, FileContent, Functionality, FunctionalitySpec, Group,
            Infrastructure, InfrastructurePart, Lowered, Service, ServiceBuilder, ServiceSpec,
            Signal, Span, SpecError, Target,
        },
    },
    docker::extension::DockerTarget,
    ec2::extension::{LocationSettings, TargetSettings},
    nixos::NixosTarget,
};

const GIT: &str = "git.zalora.com";
const DATABASE: &str = "hydra-db.zalora.com";
const REPOSITORY: &str = "zalora.git";

/// A PostgreSQL server with one database and one role that owns it.
#[derive(Debug)]
struct Postgres {
    /// The user it runs as, whose state directory it has.
    user: &'static str,
    database: &'static str,
    role: &'static str,
    /// The secret that is the role's password.
    password: &'static str,
    memory: &'static str,
}

impl Service for Postgres {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        let Self { user, database, role, password, memory } = self;
        let config = |name: &str| format!("/etc/{user}/{name}");
        let flag = format!("--config-file={}", config("postgresql.conf"));
        // Debian keeps the server's programs away from the PATH.
        let on_debian = ["/usr/lib/postgresql/15/bin/postgres", &flag];
        let ready = ["pg_isready", "--quiet", "--host", "127.0.0.1"];
        let ready = ready.into_iter().chain(["--username", *role, "--dbname", *database]);
        let plain = |bytes: &[u8]| FileContent::plain(bytes);
        shipping_programs(["postgres", &flag])
            .debian(["postgresql"])
            .nix(["postgresql"])
            .initializer(["hydra-db-init"])
            .start_on("docker", on_debian)
            .start_on("ec2", on_debian)
            .user(user)
            .env("PGDATA", &format!("/var/lib/{user}/data"))
            .env("HYDRA_DB_NAME", database)
            .env("HYDRA_DB_USER", role)
            .env("HYDRA_DB_PASSWORD", &format!("${{secret:{password}}}"))
            .state(&format!("/var/lib/{user}"))
            .file_bytes(
                &config("postgresql.conf"),
                plain(include_bytes!("hydra/hydra/postgresql.conf")),
                0o644,
            )
            .file_bytes(
                &config("pg_hba.conf"),
                plain(include_bytes!("hydra/hydra/pg_hba.conf")),
                0o644,
            )
            .endpoint("postgresql", 5432)
            .ready_by_command(ready)
            .ready_within(Span::seconds(60))
            // A fast shutdown: clients are sent away, nothing is lost.
            .stop(Signal::Int, Span::seconds(30))
            .memory(memory)
            .build()?
            .lower()
    }
}

/// A git server with one bare repository, for everybody who reaches its port.
#[derive(Debug)]
struct GitDaemon {
    repository: &'static str,
}

impl Service for GitDaemon {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        let start = [
            "git",
            "daemon",
            "--reuseaddr",
            "--port=${endpoint:git}",
            "--base-path=/var/lib/git",
            "--export-all",
            "--enable=receive-pack",
            "--informative-errors",
            "/var/lib/git",
        ];
        let repository = format!("/var/lib/git/{}", self.repository);
        ServiceSpec::builder(start)
            .debian(["git"])
            .nix(["git"])
            .initializer(["git", "init", "--quiet", "--bare", "--initial-branch=main", &repository])
            .user("git")
            .state("/var/lib/git")
            .endpoint("git", 9418)
            .scheme("git", "git")
            .ready_over_tcp("git")
            .ready_within(Span::seconds(30))
            .stop(Signal::Term, Span::seconds(10))
            .memory("512MiB")
            .build()?
            .lower()
    }
}

/// The page that lists the commits in the queue.
#[derive(Debug)]
struct Page {
    port: u16,
}

impl Service for Page {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        let port = self.port.to_string();
        of_the_queue(["hydra-web", "--port", &port], &[])
            .user("hydra-web")
            .endpoint("http", self.port)
            .scheme("http", "http")
            .ready_over_http("http", "/healthz")
            .ready_within(Span::seconds(60))
            .stop(Signal::Term, Span::seconds(10))
            .cpus(0.5)
            .memory("256MiB")
            .build()?
            .lower()
    }
}

/// A program that works on a repository's commits, on a copy of its own.
#[derive(Debug)]
struct Worker {
    program: &'static str,
    memory: &'static str,
}

impl Service for Worker {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        let repository = format!("git://${{upstream:{GIT}}}/{REPOSITORY}");
        let state = format!("/var/lib/{}", self.program);
        let mirror = format!("{state}/{REPOSITORY}");
        let start = [self.program, "--repository", &repository, "--mirror", &mirror];
        of_the_queue(start, &["git"])
            .user(self.program)
            .state(&state)
            .memory(self.memory)
            .build()?
            .lower()
    }
}

/// One of the Hydra team's Python programs, which all find the queue by their environment.
fn of_the_queue<const N: usize>(start: [&str; N], packages: &[&str]) -> ServiceBuilder {
    let packages = |more: [&'static str; 2]| {
        packages.iter().map(ToString::to_string).chain(more.map(str::to_owned))
    };
    shipping_programs(start)
        .debian(packages(["python3", "python3-psycopg2"]))
        .nix(packages(["python3", "python3Packages.psycopg2"]))
        .env("PGHOST", &format!("${{upstream:{DATABASE}}}"))
        .env("PGDATABASE", "hydra")
        .env("PGUSER", "hydra")
        .env("PGPASSWORD", "${secret:hydra-db}")
}

/// Starts a service that has the Hydra team's programs on its `PATH`.
fn shipping_programs<const N: usize>(start: [&str; N]) -> ServiceBuilder {
    let program = |bytes: &[u8]| FileContent::program(bytes);
    ServiceSpec::builder(start)
        .ship("hydra-db-init", program(include_bytes!("hydra/hydra/bin/hydra-db-init")))
        .ship("hydra-evaluator", program(include_bytes!("hydra/hydra/bin/hydra-evaluator")))
        .ship("hydra-queue-runner", program(include_bytes!("hydra/hydra/bin/hydra-queue-runner")))
        .ship("hydra-web", program(include_bytes!("hydra/hydra/bin/hydra-web")))
        .ship(
            "hydra_queue.py",
            FileContent::plain(include_bytes!("hydra/hydra/bin/hydra_queue.py")),
        )
}

/// What one team runs.
type Exported = Vec<Arc<dyn Functionality>>;

/// What the two teams run.
fn applications() -> Result<[Exported; 2], Box<dyn Error>> {
    let git = FunctionalitySpec::new("git", GitDaemon { repository: REPOSITORY })?
        .fqdn(GIT)?
        .location("singapore")?;
    let database = Postgres {
        user: "hydra-db",
        database: "hydra",
        role: "hydra",
        password: "hydra-db",
        memory: "1GiB",
    };
    let database = FunctionalitySpec::new("hydra-db", database)?.fqdn(DATABASE)?;
    let page = FunctionalitySpec::new("hydra-web", Page { port: 3000 })?
        .fqdn("hydra.zalora.com")?
        .upstream(DATABASE)?
        .replicas(NonZeroU32::MIN.saturating_add(1));
    let workers = Group::new()
        .member("evaluator", Worker { program: "hydra-evaluator", memory: "256MiB" })?
        .member("queue-runner", Worker { program: "hydra-queue-runner", memory: "512MiB" })?;
    let workers =
        FunctionalitySpec::new("hydra-evaluator", workers)?.upstream(DATABASE)?.upstream(GIT)?;
    Ok([vec![git.shared()], vec![page.shared(), workers.shared(), database.shared()]])
}

/// On Amazon EC2, on machines that the default backend makes.
fn on_ec2() -> Result<Deployment, Box<dyn Error>> {
    let place = LocationSettings {
        region: Some("ap-southeast-1".to_owned()),
        zones: ["ap-southeast-1a", "ap-southeast-1b"].map(str::to_owned).into(),
        ..LocationSettings::default()
    };
    let machine =
        TargetSettings { instance_type: Some("m3.medium".to_owned()), ..TargetSettings::default() };
    let infrastructure = Infrastructure::builder()
        .location("singapore", |location| location.extension(&place))
        .load_balancer("hydra", "hydra.zalora.com", 443, 3000, |balancer| {
            balancer.open_to("0.0.0.0/0")
        })
        .build()?;
    let deployment = zalora(infrastructure)?.default_backend("ec2", |backend| {
        backend.location("singapore").services_per_instance(5).extension(&machine)
    });
    Ok(deployment.build()?)
}

/// On the Docker engine of this machine.
fn on_docker() -> Result<Deployment, Box<dyn Error>> {
    let infrastructure = Infrastructure::builder()
        .location("singapore", |location| location)
        .target("box", "docker", |target| {
            target.location("singapore").extension(&DockerTarget::default())
        })
        .load_balancer("hydra", "hydra.zalora.com", 443, 3000, |balancer| balancer.target("box"))
        .build()?;
    let deployment = zalora(infrastructure)?
        .place("git", "box")
        .place("hydra-web", "box")
        .place("hydra-evaluator", "box")
        .place("hydra-db", "box");
    Ok(deployment.build()?)
}

/// On NixOS machines in one rack.
fn on_nixos() -> Result<Deployment, Box<dyn Error>> {
    let hardware = NixosTarget {
        modules: vec![RelativePath::new("hardware-configuration.nix")?],
        ..NixosTarget::default()
    };
    let machine = |target: InfrastructurePart<Target>| target.network("rack").extension(&hardware);
    let infrastructure = Infrastructure::builder()
        .location("singapore", |location| location)
        .network("rack", |network| network.location("singapore"))
        .target("vault", "nixos", |target| {
            let target = machine(target).address("vault.zalora.com").cpus(8.0).memory("32GiB");
            target.private_addresses(["10.20.0.10"])
        })
        .target("workshop", "nixos", |target| {
            machine(target).address("workshop.zalora.com").private_addresses(["10.20.0.11"])
        })
        .target("front", "nixos", |target| {
            machine(target).pool(2).private_addresses(["10.20.0.20", "10.20.0.21"])
        })
        .target("gate", "nixos", |target| {
            machine(target).address("gate.zalora.com").private_addresses(["10.20.0.2"])
        })
        .load_balancer("hydra", "hydra.zalora.com", 443, 3000, |balancer| {
            balancer.target("gate").open_to("0.0.0.0/0")
        })
        .build()?;
    let deployment = zalora(infrastructure)?
        .place("git", "vault")
        .place("hydra-db", "vault")
        .place("hydra-evaluator", "workshop")
        .place("hydra-web", "front");
    Ok(deployment.build()?)
}

/// What is the same wherever it runs.
fn zalora(infrastructure: Infrastructure) -> Result<DeploymentBuilder, Box<dyn Error>> {
    let [git, hydra] = applications()?;
    Ok(Deployment::builder("zalora")
        .catalog(git)
        .catalog(hydra)
        .infrastructure(infrastructure)
        .certificate_authority(include_str!("hydra/ops/ca.crt"), "ca.key.age"))
}

/// Which files and resources two compiled deployments do not have in common.
fn differences(one: &Compiled, other: &Compiled) -> Vec<String> {
    let (files, others) = (one.files(), other.files());
    let paths: BTreeSet<_> = files.keys().chain(others.keys()).collect();
    let paths = paths.into_iter().filter(|path| files.get(path) != others.get(path));
    let ids: BTreeSet<_> = one.resources().keys().chain(other.resources().keys()).collect();
    let ids = ids.into_iter().filter(|id| one.resources().get(*id) != other.resources().get(*id));
    paths
        .map(|(target, path)| format!("{target}/{path}"))
        .chain(ids.map(ToString::to_string))
        .collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let registry = deployix::registry();
    let places = [
        (on_ec2()?, "deployment.toml"),
        (on_docker()?, "deployment-docker.toml"),
        (on_nixos()?, "deployment-nixos.toml"),
    ];
    for (built, file) in places {
        let built = compile_anew(built, &registry).complete()?;
        let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/ops");
        let loaded = load(&ops.join(file)).complete()?.ok_or("nothing to deploy")?;
        let loaded = compile_anew(loaded, &registry).complete()?;

        let differing = differences(&built, &loaded);
        assert!(differing.is_empty(), "built in Rust these differ: {differing:#?}");
        println!(
            "{} files and {} resources, built in Rust, are those of examples/hydra/ops/{file}",
            built.files().len(),
            built.resources().len(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_built_in_rust_is_byte_for_byte_what_the_files_give() {
        super::main().expect("it compiles");
    }
}
