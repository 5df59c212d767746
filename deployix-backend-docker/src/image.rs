//! One program's image: its Dockerfile and build context.
//!
//! Everything that is added goes through a first stage, which sets modes and makes folders and
//! links with the base image's tools. So a ready image needs none, not even a shell, and the
//! modes that files have on the machine that builds do not matter.

use std::collections::BTreeMap;

use deployix_core::{
    Name, RelativePath,
    backend::Remark,
    name::NameError,
    spec::{Endpoint, FileContent, Signal},
};

use crate::{
    dockerfile::{Copy, Dockerfile, From, Instruction, Stage},
    error::EmitError,
    script::{HOME, parent},
    shell,
};

/// The number of the user that programs run as, and of its group.
///
/// In the range that Debian gives to system users (100 to 999), so that a package which wants the
/// same user takes ours for its own, and far from both ends, where packages' own are made.
pub(crate) const USER_ID: &str = "900:900";

const PREPARE: &str = "prepare";
const PREPARED: &str = "/prepare";
/// The folder of this backend's own scripts in a build context.
const SCRIPTS: &str = "deployix";

/// What one program's image is made of.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    pub(crate) functionality: &'a Name,
    pub(crate) base_image: &'a str,
    pub(crate) from: Software<'a>,
    /// Who it runs as; the image's own user unless given.
    pub(crate) user: Option<&'a str>,
    /// Files shipped along, by their path in the folder.
    pub(crate) shipped: Option<&'a BTreeMap<RelativePath, FileContent>>,
    /// Scripts that this backend adds, by name.
    pub(crate) scripts: BTreeMap<&'static str, String>,
    /// Files put in place.
    pub(crate) files: Vec<Baked>,
    /// Links put in place: where, and to what.
    pub(crate) links: Vec<(String, String)>,
    /// Directories that the user owns, with their modes.
    pub(crate) directories: Vec<(String, u32)>,
    pub(crate) endpoints: Vec<&'a Endpoint>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) stop_signal: Signal,
}

/// Where the program comes from.
#[derive(Debug)]
pub(crate) enum Software<'a> {
    /// A ready image.
    Ready(&'a str),
    /// The base image with packages.
    Packages {
        /// Debian packages.
        packages: &'a [String],
        /// The user to make.
        user: String,
        /// The user's home.
        home: &'a str,
    },
}

/// A file put in place while building.
#[derive(Debug)]
pub(crate) struct Baked {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) content: FileContent,
}

/// The paths at which a service finds the files shipped along, first those that go first on its
/// `PATH`.
pub(crate) fn shipped_folders() -> Vec<String> {
    vec![format!("{HOME}/software"), format!("{HOME}/software/bin")]
}

impl Image<'_> {
    /// The build context with its Dockerfile, each file by its path in the folder.
    ///
    /// # Errors
    /// A value that a Dockerfile cannot carry.
    pub(crate) fn context(&self) -> Result<BTreeMap<RelativePath, FileContent>, Remark> {
        let mut prepare = Prepare::default();
        if let Some(files) = self.shipped {
            for (path, content) in files {
                prepare.add(&format!("software/{path}"), content.clone());
            }
            prepare.take("software/", &format!("{HOME}/software/"), "0:0");
        }
        if !self.scripts.is_empty() {
            for (name, script) in &self.scripts {
                let path = format!("{SCRIPTS}/{name}");
                prepare.add(&path, FileContent::program(script.as_bytes()));
            }
            prepare.take(&format!("{SCRIPTS}/"), &format!("{HOME}/"), "0:0");
        }
        let user = self.user.unwrap_or("0:0");
        for (index, file) in self.files.iter().enumerate() {
            let name = format!("files/{index}");
            prepare.add(&name, file.content.clone());
            prepare.run(&["chmod", &format!("{:04o}", file.mode), &format!("{PREPARED}/{name}")]);
            // Its user's own only where nobody else could read it.
            let owner = if file.mode & 0o004 == 0 { user } else { "0:0" };
            prepare.take(&name, &file.path, owner);
        }
        for (index, (path, to)) in self.links.iter().enumerate() {
            let made = prepare.folder("links", index, path);
            prepare.run(&["ln", "-s", to, &made]);
            prepare.take(&format!("links/{index}/"), &folder_of(path), "0:0");
        }
        for (index, (path, mode)) in self.directories.iter().enumerate() {
            let made = prepare.folder("directories", index, path);
            prepare.run(&["mkdir", "-m", &format!("{mode:04o}"), &made]);
            prepare.take(&format!("directories/{index}/"), &folder_of(path), user);
        }
        let place = |error: EmitError| Remark::new(["service"], error.to_string());
        let dockerfile = self.dockerfile(&prepare).print().map_err(place)?;
        let mut context = prepare.context;
        context.insert("Dockerfile".to_owned(), FileContent::plain(dockerfile.into_bytes()));
        let named =
            context.into_iter().map(|(path, content)| Ok((RelativePath::new(path)?, content)));
        named
            .collect::<Result<_, NameError>>()
            .map_err(|error| Remark::new(["service", "software", "path"], error.to_string()))
    }

    fn dockerfile(&self, prepare: &Prepare) -> Dockerfile {
        let comment = format!("The image of {}, made by Deployix.", self.functionality);
        let mut stages = Vec::new();
        if !prepare.copies.is_empty() {
            stages.push(prepare.stage(self.base_image));
        }
        let mut steps = Vec::new();
        let from = match &self.from {
            Software::Ready(image) => image,
            Software::Packages { packages, user, home } => {
                steps.push(sh(&user_script(user, home)));
                if !packages.is_empty() {
                    steps.push(sh(&install_script(packages)));
                }
                self.base_image
            }
        };
        steps.extend(prepare.copies.iter().cloned().map(Instruction::Copy));
        if self.shipped.is_some() {
            steps.push(Instruction::PrependPath(shipped_folders()));
        }
        for endpoint in &self.endpoints {
            steps.push(Instruction::Expose {
                port: endpoint.port.get(),
                protocol: endpoint.protocol.as_str(),
            });
        }
        steps.extend(self.user.map(|user| Instruction::User(user.to_owned())));
        steps.push(Instruction::StopSignal(self.stop_signal.to_string()));
        if !self.entrypoint.is_empty() {
            steps.push(Instruction::Entrypoint(self.entrypoint.clone()));
        }
        stages.push(Stage { from: From::Image(from.to_owned()), name: None, steps });
        Dockerfile { comment: vec![comment], stages }
    }
}

/// The folder of a path, with its slash, as `COPY` wants it.
fn folder_of(path: &str) -> String {
    format!("{}/", parent(path).trim_end_matches('/'))
}

fn sh(script: &str) -> Instruction {
    Instruction::Run(["/bin/sh", "-ec", script].map(str::to_owned).to_vec())
}

/// Makes the user, in place of one of the same name, before a package could make it with another
/// number.
fn user_script(user: &str, home: &str) -> String {
    let (uid, gid) = USER_ID.split_once(':').unwrap_or((USER_ID, USER_ID));
    let passwd =
        shell::command(&["echo", &format!("{user}:x:{uid}:{gid}::{home}:/usr/sbin/nologin")]);
    let group = shell::command(&["echo", &format!("{user}:x:{gid}:")]);
    let remove =
        shell::command(&["sed", "-i", &format!("/^{user}:/d"), "/etc/passwd", "/etc/group"]);
    format!("{remove}; {passwd} >> /etc/passwd; {group} >> /etc/group")
}

pub(crate) fn install_script(packages: &[impl AsRef<str>]) -> String {
    let mut install = vec![
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
    ];
    install.extend(packages.iter().map(AsRef::as_ref));
    let install = shell::command(&["env"].into_iter().chain(install).collect::<Vec<_>>());
    format!("apt-get update; {install}; apt-get clean; rm -rf /var/lib/apt/lists/*")
}

/// The first stage while it is filled: what it gets, does, and hands on.
#[derive(Default)]
struct Prepare {
    context: BTreeMap<String, FileContent>,
    commands: Vec<String>,
    copies: Vec<Copy>,
}

impl Prepare {
    fn add(&mut self, path: &str, content: FileContent) {
        self.context.insert(path.to_owned(), content);
    }

    fn run(&mut self, argv: &[&str]) {
        self.commands.push(shell::command(argv));
    }

    /// Makes a folder of its own for what is to be called like the path, and gives its new path.
    /// Handing on the folder around it leaves the owner of the path's own parent as it is.
    fn folder(&mut self, kind: &str, index: usize, path: &str) -> String {
        let around = format!("{PREPARED}/{kind}/{index}");
        self.run(&["mkdir", "-p", &around]);
        let name = path.rsplit('/').next().unwrap_or_default();
        format!("{around}/{name}")
    }

    fn take(&mut self, prepared: &str, destination: &str, owner: &str) {
        self.copies.push(Copy {
            from: Some(PREPARE.to_owned()),
            chown: Some(owner.to_owned()),
            source: format!("{PREPARED}/{prepared}"),
            destination: destination.to_owned(),
        });
    }

    fn stage(&self, base_image: &str) -> Stage {
        let mut steps = Vec::new();
        for folder in ["software", SCRIPTS, "files"] {
            if self.context.keys().any(|path| path.starts_with(&format!("{folder}/"))) {
                steps.push(Instruction::Copy(Copy {
                    source: format!("{folder}/"),
                    destination: format!("{PREPARED}/{folder}/"),
                    ..Copy::default()
                }));
            }
        }
        let mut commands = vec![
            shell::command(&["mkdir", "-p", PREPARED]),
            shell::command(&["chmod", "-R", "u=rwX,go=rX", PREPARED]),
        ];
        commands.extend(self.commands.iter().cloned());
        steps.push(sh(&commands.join("; ")));
        Stage { from: From::Image(base_image.to_owned()), name: Some(PREPARE.to_owned()), steps }
    }
}
