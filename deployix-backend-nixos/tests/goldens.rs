//! Goldens: what is generated, as people read it.

use deployix_backend_nixos::syntax::{Attrs, Expr, print};

#[test]
fn a_module_reads_as_one_would_write_it() {
    let module = Expr::from(
        Attrs::new()
            .with(
                ["systemd", "services", "hydra-web", "description"],
                "hydra.zalora.com",
            )
            .with(
                ["systemd", "services", "hydra-web", "path"],
                [Expr::var("pkgs").select(["hydra"])],
            )
            .with(
                ["systemd", "services", "hydra-web", "serviceConfig"],
                Attrs::new()
                    .with(
                        ["ExecStart"],
                        Expr::concat([
                            Expr::var("pkgs").select(["hydra"]).into(),
                            "/bin/hydra-web".into(),
                        ]),
                    )
                    .with(["NoNewPrivileges"], true)
                    .with(
                        ["SystemCallFilter"],
                        ["@system-service", "~@privileged @resources"],
                    ),
            )
            .with(
                ["networking", "hosts", "127.0.0.1"],
                ["hydra.zalora.com", "hydra-db.zalora.com"],
            )
            .with(
                ["networking", "firewall", "extraInputRules"],
                "# from hydra-web\nip saddr 10.0.0.2 tcp dport 80 accept\n",
            ),
    )
    .module(["lib", "pkgs"]);
    insta::assert_snapshot!(print(&module).expect("prints"));
}
