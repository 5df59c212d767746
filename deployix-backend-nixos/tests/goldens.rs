//! Goldens: what is generated, as people read it.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_backend_nixos::syntax::{Attrs, Expr, print};
use deployix_core::spec::Listener;

#[test]
fn the_hydra_deployment_reads_as_one_would_write_it() {
    for (path, file) in support::files(support::sample::hydra(support::sample::targets())) {
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        insta::with_settings!({ omit_expression => true, snapshot_path => "goldens" }, {
            insta::assert_snapshot!(path.replace('/', "--"), text);
        });
        if path.ends_with(".nix") {
            let errors = rnix::Root::parse(&text).errors().to_vec();
            assert!(errors.is_empty(), "{path}: {errors:?}");
        }
    }
}

#[test]
fn a_load_balancer_opens_each_of_its_ports() {
    let mut deployment = support::sample::hydra(support::sample::targets());
    let balancer = deployment.infrastructure.load_balancers.values_mut().next().expect("one");
    let port = |port| std::num::NonZeroU16::new(port).expect("a port");
    assert!(balancer.listeners.add(Listener::new(port(80), port(3000))));
    let files = support::files(deployment);
    let text = files["rack2/modules/load-balancer-hydra.nix"].as_text().expect("text");
    for words in ["frontend balanced-80", "frontend balanced-443", "dport 80 ", "dport 443 "] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn modular_services_read_as_one_would_write_them() {
    let deployment = support::sample::hydra_in(support::sample::targets(), support::modular);
    let files = support::files(deployment);
    for module in
        ["rack1/modules/hydra-evaluator", "rack1/modules/harvest-spice", "rack2/modules/git"]
    {
        let text = files[&format!("{module}.nix")].as_text().expect("text");
        insta::with_settings!({ omit_expression => true, snapshot_path => "goldens" }, {
            insta::assert_snapshot!(format!("modular--{}", module.replace('/', "--")), text);
        });
    }
}

#[test]
fn long_values_are_broken_into_lines() {
    let words: Vec<String> = (0..12).map(|word| format!("word number {word}")).collect();
    let function = Expr::var("pkgs").select(["writeText"]).apply("name").apply("two\nlines\n");
    let settings = Attrs::new().with(["words"], words).with(["a", "b c", "if"], function);
    let module =
        Expr::Let(Attrs::new().with(["x"], 1_i64), Box::new(settings.into())).module(["pkgs"]);
    insta::with_settings!({ omit_expression => true, snapshot_path => "goldens" }, {
        insta::assert_snapshot!("long-values", print(&module).expect("prints"));
    });
}

#[test]
fn the_systems_of_a_pool_are_switched_to_in_turn() {
    let sample = support::sample::hydra(support::sample::targets());
    let (compiled, _) = support::try_compile(sample);
    let place = |id: &str| {
        let (_, resource) = compiled.resources().iter().find(|(it, _)| it.as_str() == id)?;
        resource.turn().map(|turn| (turn.group.to_string(), turn.place))
    };
    assert_eq!(place("nixos/eu/system/0"), Some(("eu".to_owned(), 0)));
    assert_eq!(place("nixos/eu/system/1"), Some(("eu".to_owned(), 1)));
}
