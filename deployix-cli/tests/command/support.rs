//! A folder of its own for each test, and the program run in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use deployix::core::{
    Name,
    backend::Owner,
    history::{Heads, History, Holder, IntentAction, Record, RunId, StepResult, store},
    plan::Plan,
};
use serde_json::Value;
use tempfile::TempDir;

/// A page and the database it needs.
pub(crate) const SHOP: &str = r#"
version = 1
name = "shop"

[functionality.page]
fqdn = "page.example.com"
upstream-hosts = ["db.example.com"]
service.start = ["page"]
service.software.debian = ["page"]
service.software.nix = ["page"]
service.endpoints.http.port = 8000

[functionality.db]
fqdn = "db.example.com"
service.start = ["db"]
service.software.debian = ["db"]
service.software.nix = ["db"]
service.state = ["/var/lib/db"]
service.endpoints.sql.port = 5432

[target.box]
backend = "docker"
"#;

/// The same, with the tables in another order.
pub(crate) const SHUFFLED: &str = r#"
name = "shop"
version = 1

[target.box]
backend = "docker"

[functionality.db]
service.endpoints.sql.port = 5432
service.state = ["/var/lib/db"]
service.software.nix = ["db"]
service.software.debian = ["db"]
service.start = ["db"]
fqdn = "db.example.com"

[functionality.page]
service.endpoints.http.port = 8000
service.software.nix = ["page"]
service.software.debian = ["page"]
service.start = ["page"]
upstream-hosts = ["db.example.com"]
fqdn = "page.example.com"
"#;

/// A page and its database on a machine that nobody reaches.
pub(crate) const RACK: &str = r#"
version = 1
name = "shop"

[functionality.page]
fqdn = "page.example.com"
upstream-hosts = ["db.example.com"]
service.start = ["page"]
service.software.nix = ["page"]
service.endpoints.http.port = 8000

[functionality.db]
fqdn = "db.example.com"
service.start = ["db"]
service.software.nix = ["db"]
service.endpoints.sql.port = 5432

[target.rack]
backend = "nixos"
address = "rack.invalid"
"#;

/// Two functionalities on machines of Amazon's, in one network.
pub(crate) const CLOUD: &str = r#"
version = 1
name = "shop"

[functionality.page]
service.start = ["page"]
service.software.debian = ["page"]
machine.target = "one"

[functionality.db]
service.start = ["db"]
service.software.debian = ["db"]
machine.target = "two"

[location.virginia]
extensions.ec2 = { region = "us-east-1", zones = ["us-east-1a"] }

[network.shop]
location = "virginia"
extensions.ec2 = { cidr = "10.15.0.0/16", subnet-cidrs = ["10.15.0.0/24"] }

[target.one]
backend = "ec2"
network = "shop"

[target.two]
backend = "ec2"
network = "shop"
"#;

/// A folder for one test.
pub(crate) struct Folder(TempDir);

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with a deployment.
    pub(crate) fn with(text: &str) -> Self {
        let folder = Self::new();
        folder.write("deployment.toml", text);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// The program, to be run in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployix"));
        command.args(arguments).current_dir(self.path());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the program with arguments that are separated by blanks.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        Ran::from(self.command(&arguments).output().unwrap())
    }

    /// Runs the program with `--json` and gives its document and exit code.
    pub(crate) fn json(&self, arguments: &str) -> (Value, Option<i32>) {
        let ran = self.run(&format!("{arguments} --json"));
        let value = serde_json::from_str(&ran.stdout);
        (value.unwrap_or_else(|error| panic!("{error}: {ran:?}")), ran.code)
    }

    /// What the history of a deployment here tells.
    pub(crate) fn heads(&self, deployment: &str) -> Heads {
        self.with_history(deployment, async |history| history.heads().await.unwrap())
    }

    /// What `plan` plans with arguments.
    pub(crate) fn planned(&self, arguments: &str) -> Plan {
        self.run(&format!("plan {arguments} --out plan.json")).done();
        Plan::from_saved(&fs::read(self.path().join("plan.json")).unwrap()).unwrap()
    }

    /// Makes the steps of a saved plan real as far as the history goes: somebody else's doing.
    pub(crate) fn pretend(&self, plan: &Plan, by: &str, of: impl Fn(&str) -> bool) {
        let mut holder = Holder::current();
        holder.name = by.to_owned();
        let run = RunId::new(&holder);
        let until = jiff::Timestamp::now();
        let begin = Record::Begin { run: run.clone(), by: holder, until, claims: [].into() };
        let mut records = vec![begin];
        records.extend(plan.sites.values().map(|site| Record::Site { site: site.clone().into() }));
        records.push(Record::Placed { assignments: plan.assignments.clone() });
        for step in plan.steps.iter().filter(|step| of(step.id().as_str())) {
            let (resource, target) = (step.resource.clone(), step.target.clone());
            let (run, action) = (run.clone(), IntentAction::Make);
            records.push(Record::Intent { run: run.clone(), action, resource, target });
            let result = StepResult::Made { outputs: BTreeMap::new() };
            records.push(Record::Outcome { run, resource: step.id().clone(), result });
        }
        records.push(Record::End { run });
        let deployment = plan.deployment.to_string();
        self.with_history(&deployment, async |history| history.append(records).await.unwrap());
    }

    /// Somebody elsewhere is at a functionality from now on.
    pub(crate) fn hold(&self, deployment: &str, functionality: &str) {
        let mut by = Holder::current();
        (by.name, by.host) = ("bert".to_owned(), "elsewhere".to_owned());
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
        let claims = [Owner::Functionality(Name::new(functionality).unwrap())].into();
        let begin = Record::Begin { run: RunId::new(&by), by, until, claims };
        self.with_history(deployment, async |history| history.append(vec![begin]).await.unwrap());
    }

    fn with_history<T>(&self, deployment: &str, with: impl AsyncFnOnce(History) -> T) -> T {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let store = store("file:history", self.path()).unwrap();
            let deployment = Name::new(deployment).unwrap();
            with(History::open(store, &deployment).await.unwrap()).await
        })
    }

    /// Every file below a folder with its content.
    pub(crate) fn files(&self, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path().join(below);
        let mut found = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let content = fs::read(&path).unwrap();
                    found.insert(path.strip_prefix(&root).unwrap().to_owned(), content);
                }
            }
        }
        found
    }
}

impl Ran {
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    pub(crate) fn failed(self) -> Self {
        assert_eq!(self.code, Some(1), "{self:?}");
        self
    }

    pub(crate) fn wrong_usage(self) -> Self {
        assert_eq!((self.code, self.stdout.as_str()), (Some(2), ""), "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The keys of an object, in order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The codes of a document's findings.
pub(crate) fn codes(document: &Value) -> Vec<&str> {
    let findings = document["diagnostics"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}
