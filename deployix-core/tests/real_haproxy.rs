//! Load balancers for backends without one of their own, as the real HAProxy takes them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    num::NonZeroU16,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use deployix_core::{
    AbsolutePath, BackendId, Fqdn, Name,
    backend::{MemoryBackend, Registry},
    spec::{
        Deployment, FileBody, FunctionalitySpec, Listener, Listeners, LoadBalancer, ServiceSpec,
        Target, TargetKind,
    },
    topology::{Assignments, connect, place, resolve},
};

const CONFIG: &str = "/etc/load-balancer-front/haproxy.cfg";

/// The command line and configuration of a load balancer over two machines with these addresses.
fn balancer(addresses: [&str; 2], source_port: u16, target_port: u16) -> (Vec<String>, String) {
    listening(addresses, &[(source_port, target_port)])
}

/// The same with any listeners.
fn listening(addresses: [&str; 2], ports: &[(u16, u16)]) -> (Vec<String>, String) {
    let port = |port| NonZeroU16::new(port).unwrap();
    let name = |text| Name::new(text).unwrap();
    let targets: BTreeSet<u16> = ports.iter().map(|(_, target)| *target).collect();
    let web = targets.iter().fold(ServiceSpec::builder(["web"]), |web, port| {
        web.endpoint(&format!("http-{port}"), *port)
    });
    let web = web.build().unwrap();
    let web = FunctionalitySpec::new("web", web).unwrap().fqdn("web.example.com").unwrap();
    let web = web.replicas(2.try_into().unwrap()).target("machines").unwrap();
    let mut deployment = Deployment::new(name("test"), vec![[web.shared()].into_iter().collect()]);
    let memory = BackendId::new("memory").unwrap();
    let mut pool = Target::machine(name("machines"), memory.clone());
    pool.kind = TargetKind::Pool { count: 2.try_into().unwrap() };
    pool.private_addresses = addresses.map(|address| address.parse().unwrap()).into();
    deployment.infrastructure.targets.insert(name("machines"), pool);
    deployment.infrastructure.targets.insert(name("gate"), Target::machine(name("gate"), memory));
    let fqdn = Fqdn::new("web.example.com").unwrap();
    let listeners = ports.iter().map(|&(from, to)| Listener::new(port(from), port(to)));
    let mut front = LoadBalancer::new(name("front"), fqdn, port(1), port(1));
    front.listeners = Listeners::new(listeners).unwrap();
    front.target = Some(name("gate"));
    deployment.infrastructure.load_balancers.insert(name("front"), front);

    let registry = Registry::new().with(MemoryBackend::new());
    let connected = resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::new(), &registry))
        .then(|placed| connect(placed, &registry))
        .complete()
        .unwrap();
    let unit = connected.unit(&name("load-balancer-front")).unwrap();
    let (_, service) = unit.service.members().next().unwrap();
    let FileBody::Text(text) = &service.files[&AbsolutePath::new(CONFIG).unwrap()].body else {
        panic!("the configuration is text");
    };
    let start = service.start.iter().map(|argument| argument.as_literal().unwrap().to_owned());
    (start.collect(), text.as_literal().unwrap().to_owned())
}

/// Runs the load balancer's own command line with its configuration elsewhere.
fn haproxy(start: &[String], config: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(&start[0]);
    let at = |argument: &String| match argument.as_str() {
        CONFIG => config.to_str().unwrap().to_owned(),
        _ => argument.clone(),
    };
    command.args(more).args(start[1..].iter().map(at)).stdout(Stdio::null());
    command
}

#[test]
fn the_configuration_is_what_haproxy_takes() {
    let addresses = [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]];
    let ports = [&[(8443, 3000)][..], &[(8443, 3000), (8080, 3000), (8000, 3001)]];
    for (addresses, ports) in addresses.iter().flat_map(|it| ports.map(|ports| (*it, ports))) {
        let (start, text) = listening(addresses, ports);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("haproxy.cfg");
        std::fs::write(&config, &text).unwrap();
        let check = haproxy(&start, &config, &["-c"]).stderr(Stdio::piped()).output();
        let check = check.expect("haproxy is installed");
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success() && !said.contains("WARNING"), "{said}\n{text}");
    }
}

/// Ends HAProxy whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers every connection with one letter.
fn server(address: &str, port: u16, letter: u8) {
    let listener = TcpListener::bind((address, port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // The health check hangs up early.
            let _ = stream.and_then(|mut stream| stream.write_all(&[letter]));
        }
    });
}

fn ask(port: u16) -> Option<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut letter = [0];
    stream.read_exact(&mut letter).ok()?;
    Some(letter[0])
}

#[test]
fn connections_reach_every_replica() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (source, target) = (free(), free());
    server("127.0.0.2", target, b'a');
    server("127.0.0.3", target, b'b');
    let (start, text) = balancer(["127.0.0.2", "127.0.0.3"], source, target);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("haproxy.cfg");
    std::fs::write(&config, text).unwrap();
    let _running = Running(haproxy(&start, &config, &[]).stderr(Stdio::null()).spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 && Instant::now() < until {
        seen.extend(ask(source));
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(seen, [b'a', b'b'].into());
}
