//! One table for each kind of file: a text, and each finding with its place, code and remedy.

use deployix_core::load::{Format, SpecFile, parse_catalog};

use crate::{catalog_problems, deployment_problems, infrastructure_problems, toml};

/// Runs a table. In each text, `«..»` marks what a finding points to.
fn check(find: impl Fn(&SpecFile) -> String, table: &[(&str, &[&str])]) {
    for (marked, expected) in table {
        let text = format!("version = 1\n{}", marked.replace(['«', '»'], ""));
        let marked = format!("version = 1\n{marked}");
        let mut places: Vec<String> = Vec::new();
        for (index, line) in marked.lines().enumerate() {
            let mut column = 0;
            for character in line.chars() {
                match character {
                    '«' => places.push(format!("x.toml:{}:{}: ", index + 1, column + 1)),
                    '»' => {}
                    _ => column += 1,
                }
            }
        }
        assert_eq!(places.len(), expected.len(), "one mark for each finding: {marked}");
        let expected: Vec<String> =
            places.iter().zip(*expected).map(|(place, text)| format!("{place}{text}")).collect();
        let found = find(&toml(&text));
        // What is near and known is long, and has a test of its own.
        let found: Vec<&str> = found
            .lines()
            .map(|line| line.split_once("known keys").map_or(line, |(start, _)| start.trim_end()))
            .map(|line| line.trim_end_matches(';'))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn what_is_wrong_in_a_functionality_is_told_in_its_place() {
    check(
        catalog_problems,
        &[
            (
                "[functionality.web]\n«upstream-host» = []\nservice.start = [\"x\"]",
                &["error[key-unknown]: a functionality has no key `upstream-host`; did you mean \
                   `upstream-hosts`?"],
            ),
            (
                "[functionality.web]\n«start» = [\"x\"]\nservice.user = \"x\"",
                &["error[key-unknown]: a functionality has no key `start`: its service has; \
                   write `service.start`"],
            ),
            (
                "«[functionality.web]»\nfqdn = «\"web_1\"»",
                &[
                    "error[key-missing]: a functionality needs the key `service` or the key \
                     `group`",
                    "error[value-invalid]: \"web_1\" is not a host name: it may hold only \
                     letters, digits, hyphens and dots",
                ],
            ),
            (
                "[functionality.«Web»]\nservice.start = [\"x\"]",
                &["error[value-invalid]: \"Web\" is not a name: it has an upper-case letter"],
            ),
            (
                "[functionality.web]\nservice.start = [\"x\"]\n«group».x.start = [\"x\"]",
                &["error[values-conflict]: a functionality has either a `service` or a `group`, \
                   and this has both; make the service one of the group"],
            ),
            (
                "[functionality.web]\n«group» = {}",
                &["error[value-invalid]: the group has no members"],
            ),
            (
                "[functionality.web.group.a]\nstart = [\"x\"]\n«machine».target = \"m\"",
                &["error[group-split]: the members of a group share one host, and this one \
                   wishes its own; give `machine` to the group's functionality, or make this \
                   member a functionality of its own"],
            ),
            (
                "[functionality.web]\nservice.start = [\"x\"]\nreplicas = «0»\nmachine.cpus = \
                 «\"2\"»\nmachine.memory = «2048»",
                &[
                    "error[value-invalid]: 0 is not a number of at least 1",
                    "error[value-invalid]: a number is expected, found a string; write it \
                     without quotes: 2",
                    "error[value-invalid]: a string is expected, found an integer; put it in \
                     quotes: \"2048\"",
                ],
            ),
            (
                "[functionality.web]\nservice.start = [\"x\"]\nupstream-hosts = [\"a.b\", «\"A.b\"»]",
                &["error[value-invalid]: \"A.b\" is listed twice; x.toml:4:19: first listed \
                   here; remove one of the two"],
            ),
            (
                "[functionality.web]\nservice.start = [\"x\"]\nextensions.«Ec2» = {}\n\
                 extensions.ec2.since = «2020-01-01»",
                &[
                    "error[value-invalid]: \"Ec2\" is not an extension's namespace: it has an \
                     upper-case letter",
                    "error[value-invalid]: a value that JSON has as well is expected, found a \
                     date or a time; put it in quotes: \"2020-01-01\"",
                ],
            ),
        ],
    );
}

#[test]
fn what_is_wrong_in_a_service_is_told_in_its_place() {
    let service = "[functionality.web.service]\n";
    let with = |text: &str| format!("{service}{text}");
    let table: &[(&str, &[&str])] = &[
        (
            "start = «\"hydra-web --port 3000\"»",
            &["error[value-invalid]: a list is expected, found a string; put it in brackets: \
               [\"hydra-web --port 3000\"]"],
        ),
        (
            "start = [\"x\", «3000», «\"${secrets:a}\"», «\"${secret:a\"»]",
            &[
                "error[value-invalid]: a string is expected, found an integer; put it in \
                 quotes: \"3000\"",
                "error[value-invalid]: ${secrets:a} is not one of ${secret:NAME}, \
                 ${lookup:KEY}, ${upstream:FQDN} and ${endpoint:NAME}; write \"$$\" for a \
                 dollar sign",
                "error[value-invalid]: \"${\" is never closed; write \"$$\" for a dollar sign",
            ],
        ),
        (
            "env.PORT = «3000»\nenv.DEBUG = «true»\nenv.«1A» = \"x\"\nenv.X = «\"${secret:-}\"»",
            &[
                "error[value-invalid]: a string is expected, found an integer; put it in \
                 quotes: \"3000\"",
                "error[value-invalid]: a string is expected, found a boolean; put it in quotes: \
                 \"true\"",
                "error[value-invalid]: \"1A\" is not an environment variable's name (letters, \
                 digits and underscores, no digit first)",
                "error[value-invalid]: in ${secret:-}: \"-\" is not a secret's name: it must \
                 start with a letter or a digit",
            ],
        ),
        (
            "env.A = «\"a\\u0000b\"»\nuser = «\"Root\"»",
            &[
                "error[value-invalid]: the string has a NUL character, which nothing can hold",
                "error[value-invalid]: \"Root\" is not a user's name (up to 31 lower-case \
                 letters, digits, underscores and hyphens, a letter or an underscore first)",
            ],
        ),
        (
            "endpoints.http.port = «0»\nendpoints.a.port = «70000»\nendpoints.b = «{}»\n\
             endpoints.c = { port = 1, protocol = «\"tpc\"» }",
            &[
                "error[value-invalid]: 0 is not a port, from 1 to 65535",
                "error[value-invalid]: 70000 is not a port, from 1 to 65535",
                "error[key-missing]: an endpoint needs the key `port`",
                "error[value-invalid]: \"tpc\" is not a protocol; known are: tcp, udp",
            ],
        ),
        (
            "readiness = { tcp = \"a\", «http» = \"b\" }",
            &["error[values-conflict]: readiness has `tcp` and `http`; keep one of `tcp`, \
               `http`, `command` and `notify`"],
        ),
        (
            "readiness = «{ within = \"30s\" }»",
            &["error[key-missing]: readiness needs one of the keys `tcp`, `http`, `command` and \
               `notify`"],
        ),
        (
            "readiness = { tcp = \"a\", «path» = \"/x\", within = «\"soon\"» }",
            &[
                "error[values-conflict]: readiness has a `path` and no `http`; name the \
                 endpoint: http = \"ENDPOINT\"",
                "error[value-invalid]: \"soon\" is not a length of time such as \"30s\" (ms, s, \
                 min, h, d)",
            ],
        ),
        (
            "readiness = { notify = «false» }",
            &["error[value-invalid]: `notify` can only be true; remove it"],
        ),
        (
            "readiness = { http = \"a\", path = «\"healthz\"» }",
            &["error[value-invalid]: \"healthz\" is not the path of a URL; start with a slash, \
               and write what is not plain ASCII as %XX"],
        ),
        (
            "[functionality.web.service.files]\n«etc» = { text = \"\" }\n\"/a\" = «{}»\n\
             \"/b\" = { text = \"\", «source» = \"b\" }\n\"/c\" = { text = \"\", mode = «420» }\n\
             \"/d\" = { text = \"\", mode = «\"999\"» }",
            &[
                "error[value-invalid]: \"etc\" is not an absolute path: it does not start with a \
                 slash",
                "error[key-missing]: a file needs the key `text` or the key `source`",
                "error[values-conflict]: a file has either `text` or `source`, and this one has \
                 both; remove one of the two",
                "error[value-invalid]: a string is expected, found an integer; put it in \
                 quotes: \"420\"",
                "error[value-invalid]: \"999\" is not a file mode; write 3 or 4 octal digits, \
                 such as \"0644\"",
            ],
        ),
        (
            "schedule = «\"every 7 minutes\"»\non-demand = «\"yes\"»\nstate = [«\"var\"»]",
            &[
                "error[value-invalid]: \"every 7 minutes\" is not a schedule: so many minutes do \
                 not divide an hour evenly",
                "error[value-invalid]: a boolean is expected, found a string; write true or \
                 false",
                "error[value-invalid]: \"var\" is not an absolute path: it does not start with a \
                 slash",
            ],
        ),
        (
            "limits = { cpus = «-1», memory = «\"512MB\"» }\nstop = { signal = «\"SIGTREM\"» }",
            &[
                "error[value-invalid]: \"-1\" is not a number of processors, at least 0.001",
                "error[value-invalid]: \"512MB\" is not an amount of bytes such as \"512MiB\" (B, \
                 KiB, MiB, GiB, TiB)",
                "error[value-invalid]: \"SIGTREM\" is not a signal; did you mean \"SIGTERM\"? known \
                 are: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGKILL",
            ],
        ),
        (
            "software = { debian = [\"a\", «\"b\\n\"»], path = «\"../x\"», image = «\"\"» }",
            &[
                "error[value-invalid]: the string has a control character",
                "error[value-invalid]: \"../x\" is not a relative path: a part of it is empty, \
                 \".\" or \"..\"",
                "error[value-invalid]: the string is empty",
            ],
        ),
        (
            "software.path = «\"x\"»",
            &["error[file-unreadable]: this text is in no folder, so no file lies beside it"],
        ),
        (
            "overrides.docker.«overrides» = {}\noverrides.nixos.strat = [\"x\"]",
            &["error[key-unknown]: an override has no key `overrides`"],
        ),
    ];
    for (text, expected) in table {
        if text.contains("strat") {
            // Two findings, the second without a mark that a dotted key could carry.
            let found = catalog_problems(&toml(&with(&text.replace(['«', '»'], ""))));
            assert!(found.contains("an override has no key `strat`; did you mean `start`?"));
            continue;
        }
        check(catalog_problems, &[(&with(text), expected)]);
    }
}

#[test]
fn what_is_wrong_in_infrastructure_is_told_in_its_place() {
    check(
        infrastructure_problems,
        &[
            (
                "«[target.a]»\nkind = \"machine\"",
                &["error[key-missing]: a target needs the key `backend`"],
            ),
            (
                "[target.a]\nbackend = \"ec2\"\nkind = «\"pol\"»\n[target.b]\nbackend = \
                 \"ec2\"\nkind = «\"pool\"»\n[target.c]\nbackend = \"ec2\"\n«count» = 3",
                &[
                    "error[value-invalid]: \"pol\" is not a kind of target; did you mean \"pool\"? \
                     known are: machine, pool, autoscaling, swarm",
                    "error[key-missing]: a pool needs the key `count`",
                    "error[values-conflict]: a machine has no `count`; remove it, or set `kind` to \
                     \"pool\"",
                ],
            ),
            (
                "[target.a]\nbackend = \"ec2\"\nkind = \"autoscaling\"\nmin = 3\nmax = «2»\n\
                 [target.b]\nbackend = \"ec2\"\nkind = «\"autoscaling\"»\nmin = 3",
                &[
                    "error[values-conflict]: `max` is 2, which is less than `min`, 3",
                    "error[key-missing]: an autoscaling group needs the key `max`",
                ],
            ),
            (
                "[target.a]\nbackend = \"nixos\"\naddress = «\"-oProxyCommand=x\"»\n\
                 private-address = «\"10.0.0\"»",
                &[
                    "error[value-invalid]: \"-oProxyCommand=x\" is no address; write a host, an \
                     engine's URL such as \"unix:///var/run/docker.sock\", or \"local\"",
                    "error[value-invalid]: \"10.0.0\" is no IP address; write an address such as \
                     \"10.0.0.5\"",
                ],
            ),
            (
                "[target.a]\nbackend = \"x\"\nprivate-address = \"::1\"\n«private-addresses» = []\n\
                 [target.b]\nbackend = \"x\"\n«private-addresses» = [\"::1\", \"::2\"]",
                &[
                    "error[values-conflict]: a target has `private-address` or \
                     `private-addresses`, not both",
                    "error[values-conflict]: there are 2 addresses, and the target has 1 machines; \
                     remove what is too much",
                ],
            ),
            (
                "[load-balancer.a]\nbalances = \"a.b\"\nsource-port = 443\ntarget-port = 3000\n\
                 open-to = [\"anywhere\", «\"10.0.0.1\"», «\"10.0.0.1/8\"», «\"world\"»]",
                &[
                    "error[value-invalid]: \"10.0.0.1\" is an address, not a network; write \
                     \"10.0.0.1/32\"",
                    "error[value-invalid]: \"10.0.0.1/8\" names an address within a network; write \
                     \"10.0.0.0/8\" for the network",
                    "error[value-invalid]: \"world\" is no network; write one such as \
                     \"10.0.0.0/8\", or \"anywhere\"",
                ],
            ),
            (
                "[load-balancer.a]\nbalances = \"a.b\"\n«source-port» = 443\n[[load-balancer.a.listeners]]\n\
                 source-port = 80\ntarget-port = «0»\n«[[load-balancer.a.listeners]]»\n\
                 source-port = 80",
                &[
                    "error[values-conflict]: a load balancer has `listeners` or `source-port`, not \
                     both; move its ports into `listeners`, or remove that",
                    "error[value-invalid]: 0 is not a port, from 1 to 65535",
                    "error[key-missing]: a listener needs the key `target-port`",
                ],
            ),
            (
                "[load-balancer.a]\nbalances = \"a.b\"\nlisteners = [{ source-port = 80, target-port = 1 \
                 }, «{ source-port = 80, target-port = 2 }»]\n«[load-balancer.b]»\nbalances = \"a.b\"\n\
                 [load-balancer.c]\nbalances = \"a.b\"\nlisteners = «[]»",
                &[
                    "error[values-conflict]: two listeners are on port 80; x.toml:4:14: first listed \
                     here; keep one of the two, or give it another port",
                    "error[key-missing]: a load balancer needs `source-port` and `target-port`, or \
                     `listeners`; write where it listens and where it passes connections to",
                    "error[value-invalid]: a load balancer listens on at least one port; add one such \
                     as { source-port = 443, target-port = 3000 }",
                ],
            ),
            (
                "«[load-balancer.a]»\nbalances = \"a.b\"\nsource-port = 443\n[network.a]\n\
                 «loc» = \"x\"\n[location.b]\nextensions = «3»",
                &[
                    "error[key-missing]: a load balancer needs the key `target-port`",
                    "error[key-unknown]: a network has no key `loc`",
                    "error[value-invalid]: a table of keys is expected, found an integer",
                ],
            ),
        ],
    );
}

#[test]
fn what_is_wrong_in_a_deployment_is_told_in_its_place() {
    check(
        deployment_problems,
        &[
            (
                "name = «\"Zalora\"»\nexternal-hosts = [«\"a b\"»]\nhistory = «\"history\"»",
                &[
                    "error[value-invalid]: \"Zalora\" is not a name: it has an upper-case letter",
                    "error[value-invalid]: \"a b\" is not a host name: it may hold only letters, \
                     digits, hyphens and dots",
                    "error[value-invalid]: \"history\" is no place for a history; write \
                     \"file:history\" for a folder, or a URL such as \"s3://BUCKET\"",
                ],
            ),
            (
                "name = \"x\"\n[place]\na = «3»\n«b».c = \"x\"\n«[default-backend]»\n\
                 services-per-instance = «-1»",
                &[
                    "error[value-invalid]: a string is expected, found an integer; put it in \
                     quotes: \"3\"",
                    "error[group-split]: the members of a group share one host: they cannot be \
                     placed apart; place the group: b = \"TARGET\"",
                    "error[key-missing]: a default backend needs the key `backend`",
                    "error[value-invalid]: -1 is not a number of at least 1",
                ],
            ),
            (
                "name = \"x\"\ncatalogs = [«\"a\"»]\n[«functionalty».web]\nservice.start = []",
                &[
                    "error[file-unreadable]: this text is in no folder, so it cannot name other \
                     files",
                    "error[key-unknown]: a deployment has no key `functionalty`; did you mean \
                     `functionality`?",
                ],
            ),
        ],
    );
}

#[test]
fn an_unknown_key_is_told_with_the_known_ones() {
    let found = catalog_problems(&toml("version = 1\n[targets.a]\nbackend = \"ec2\""));
    assert_eq!(
        found,
        "x.toml:2:2: error[key-unknown]: a catalog has no key `targets`; known keys: \
         functionality, version"
    );
}

#[test]
fn a_file_says_its_version_first() {
    for (format, name, text, found) in [
        (
            Format::Toml,
            "x.toml",
            "version = 2\nwhat = 3",
            "x.toml:1:11: error[version-unsupported]: this program reads version 1 of spec files \
             alone; write version = 1",
        ),
        (
            Format::Json,
            "x.json",
            "{ \"version\": \"1\" }",
            "x.json:1:14: error[version-unsupported]: this program reads version 1 of spec files \
             alone; write \"version\": 1",
        ),
        (
            Format::Yaml,
            "x.yaml",
            "",
            "x.yaml:1:1: error[version-unsupported]: the file does not say its version; start it \
             with version: 1",
        ),
    ] {
        let file = SpecFile::new(name, format, text.to_owned());
        assert_eq!(catalog_problems(&file), found);
        assert!(parse_catalog(&file, None).value.incomplete);
    }
}

#[test]
fn a_finding_is_about_its_functionality_and_shows_its_line() {
    let file = toml("version = 1\n[functionality.web]\nservice.start = [\"a\", 3]\n");
    let read = parse_catalog(&file, None);
    let finding = read.diagnostics.iter().next().unwrap();
    assert_eq!(finding.functionality.as_ref().map(|name| name.as_str()), Some("web"));
    let place = finding.place.as_ref().unwrap();
    assert_eq!((place.line, place.column, place.length), (3, 23, 1));
    assert_eq!(place.excerpt, "service.start = [\"a\", 3]");
}

#[test]
fn one_bad_functionality_hides_and_blocks_no_other() {
    let file = toml(
        "version = 1\n[functionality.a]\nservice.start = 3\n[functionality.b]\nservice.start = \
         [\"b\"]\n[functionality.C]\nservice.start = [\"c\"]\n[functionality.d]\nfqdn = \"_\"\n",
    );
    let read = parse_catalog(&file, None);
    let names: Vec<_> = read.value.functionalities.iter().map(|f| f.name().to_string()).collect();
    assert_eq!(names, ["b"]);
    let unreadable: Vec<_> = read.value.unreadable.iter().map(|name| name.as_str()).collect();
    assert_eq!(unreadable, ["a", "d"]);
    assert!(read.value.incomplete, "nobody knows what `C` is called");
    assert_eq!(read.diagnostics.errors().count(), 4);
}
