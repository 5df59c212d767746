//! A backend of your own, against the public API alone: Heroku, where each functionality is an app.
//!
//! The facts are from Heroku's Dev Center: "Building Docker Images with heroku.yml", "app.json
//! Schema", "Container Registry & Runtime", "Dyno Startup Behavior", "Dyno Shutdown Behavior".

use deployix::core::{BackendId, ResourceId, backend::*, conformance::Kit, load, plan, spec::*};
use serde_json::{Map, Value, json};

#[derive(Debug)]
struct Heroku(BackendId);

#[async_trait::async_trait]
impl Backend for Heroku {
    fn id(&self) -> &BackendId {
        &self.0
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolated: true, load_balancers: true, ..Capabilities::NONE }
    }

    fn extension_decls(&self) -> &[ExtensionDecl] {
        &[]
    }

    fn compile(&self, unit: &Unit<'_>) -> Result<Artifact, CompileError> {
        let (Lowered::One(service), None) = (unit.service, unit.balancer) else {
            return Err(Remark::new(["group"], "an app is one program behind a router").into());
        };
        let mut artifact = Artifact { remarks: findings(unit, service)?, ..Artifact::default() };
        let process = if service.endpoints.is_empty() { "worker" } else { "web" };
        let mut install = vec!["apt-get", "install", "--yes", "--"];
        install.extend(service.software.debian.iter().map(String::as_str));
        let dockerfile = match &service.software.image {
            Some(image) => format!("FROM {image}\n"),
            None => format!("FROM debian:12-slim\nRUN apt-get update\nRUN {}\n", json!(install)),
        };
        let mut yml = json!({ "build": { "docker": { process: "Dockerfile" } } });
        if !service.initializer.is_empty() {
            yml["release"] = json!({ "image": process, "command": [exec(&service.initializer)] });
        }
        if !service.start.is_empty() {
            yml["run"] = json!({ process: exec(&service.start) });
        }
        // What has no value is asked for when the app is set up: no secret is in any file.
        let value = |t: &Template| t.as_literal().map_or(json!({ "required": true }), Value::from);
        let env = service.env.iter().map(|(name, text)| (name.to_string(), value(text)));
        let app = json!({
            "name": unit.name,
            "stack": "container",
            "env": env.collect::<Map<_, _>>(),
            "formation": { process: { "quantity": unit.replicas } },
        });
        let (yml, json) = (serde_saphyr::to_string(&yml), format!("{app:#}\n"));
        let yml = yml.map_err(|error| Remark::new(["service"], error.to_string()))?;
        let mut inputs = Inputs::from([("domain", unit.fqdn.map(|f| f.to_string()).into())]);
        for (name, text) in [("Dockerfile", dockerfile), ("heroku.yml", yml), ("app.json", json)] {
            inputs.insert(name, text.as_str().into());
            artifact.add_file(format!("{}/{name}", unit.name), FileContent::plain(text))?;
        }
        let id = ResourceId::new(format!("{}/{}", self.0, unit.name))?;
        let resource = Resource::new(id, Owner::Functionality(unit.name.clone()), inputs, []);
        Ok(Artifact { resources: vec![resource], ..artifact })
    }

    fn assemble(&self, _: &Assembly<'_>) -> Result<Artifact, CompileError> {
        Ok(Artifact::default())
    }

    fn change(&self, _: &Resource, _: &Resource) -> Change {
        Change::Update
    }

    async fn observe(&self, _: &Scope<'_>) -> Result<Vec<Observed>, BackendError> {
        Err(BackendError::permanent(ErrorKind::Unsupported, "observe", "this one only compiles"))
    }

    async fn permissions(&self, _: &[Step<'_>]) -> Result<Permissions, BackendError> {
        Ok(Permissions::default())
    }

    async fn apply(&self, _: &Step<'_>, _: &StepContext<'_>) -> Result<Outcome, BackendError> {
        Err(BackendError::permanent(ErrorKind::Unsupported, "apply", "this one only compiles"))
    }
}

/// A command line for a shell, which it replaces, so that the program itself gets the signals.
fn exec(argv: &[Template]) -> String {
    argv.iter().filter_map(Template::as_literal).fold("exec".to_owned(), |line, word| match word {
        "$PORT" => line + " \"$PORT\"",
        word => format!("{line} '{}'", word.replace('\'', r"'\''")),
    })
}

/// Nothing is silently dropped: what is not honoured is refused, or else remarked on.
fn findings(unit: &Unit<'_>, service: &ServiceSpec) -> Result<Vec<Remark>, CompileError> {
    type Rule<'a> = (bool, &'a str, &'a str);
    let remark = |(_, field, why): &Rule<'_>| Remark::new(["service", *field], *why);
    let told = |rules: &[Rule<'_>]| rules.iter().filter(|rule| rule.0).map(remark).collect();
    let Software { image, debian, path, .. } = &service.software;
    CompileError::check(told(&[
        (image.is_none() && debian.is_empty(), "software", "it needs `image` or `debian`"),
        (image.iter().any(|i| i.contains(char::is_whitespace)), "software", "that names no image"),
        (path.is_some(), "software", "nothing is shipped along: make an image of it"),
        (!service.files.is_empty(), "files", "no files are put in place: make an image with them"),
        (service.env.values().any(|v| v.parts().len() > 1), "env", "a secret is a whole value"),
        (service.endpoints.len() > 1, "endpoints", "an app has one port"),
        (service.endpoints.values().any(|e| e.protocol == Protocol::Udp), "endpoints", "no UDP"),
        (!service.state.is_empty(), "state", "a dyno's disk is emptied whenever it restarts"),
        (service.schedule.is_some(), "schedule", "Heroku's files cannot say when to run"),
    ]))?;
    Ok(told(&[
        (!service.endpoints.is_empty(), "endpoints", "it gets HTTP alone, on port $PORT"),
        (!unit.upstreams.is_empty(), "upstreams", "apps meet at a router open to everybody"),
        (service.user.is_some(), "user", "it runs as a user of Heroku's own"),
        (service.readiness.is_some(), "readiness", "it is ready once it listens, within 60 s"),
        (service.on_demand, "on-demand", "it runs all the time"),
        (service.limits != Limits::default(), "limits", "the size of its dyno limits it"),
        (service.stop != Stop::default(), "stop", "it has 30 s after SIGTERM"),
    ]))
}

const SHOP: &str = r#"
version = 1
name = "shop"
target.cloud.backend = "heroku"
[functionality.shop.service]
software.debian = ["python3"]
start = ["python3", "-m", "http.server", "$PORT"]
env = { MOTD = "it's open", API_KEY = "${secret:api-key}" }
endpoints.http.port = 8000
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let heroku = || BackendId::new("heroku").map(Heroku);
    let file = load::SpecFile::new("shop.toml", load::Format::Toml, SHOP.to_owned());
    let deployment = load::parse_deployment(&file, None).complete()?.ok_or("nothing to deploy")?;
    let compiled = plan::compile_anew(deployment, &Registry::new().with(heroku()?));
    println!("{}", compiled.diagnostics);
    for ((target, path), file) in compiled.value.files() {
        println!("--- {target}/{path}\n{}", file.as_text().unwrap_or_default());
    }
    Kit::new(heroku()?).run().await?;
    println!("The backend holds the contract.");
    Ok(())
}

#[test]
fn it_compiles_and_holds_the_contract() {
    main().expect("it holds");
}
