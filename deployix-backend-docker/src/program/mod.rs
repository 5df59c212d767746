//! One program of a functionality: every field of its spec honoured, refused or remarked on.
//!
//! * [`software`]: where the program comes from, and who runs it;
//! * [`start`]: what is done before it starts: variables and files;
//! * [`times`]: when it runs, and how to tell that it is ready.

mod software;
mod start;
mod times;

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    AbsolutePath, Digest, Name, RelativePath,
    backend::{Remark, Unit},
    spec::{FileContent, ServiceSpec, Template},
};

use crate::{
    compose::Healthcheck,
    extension::{DockerFunctionality, DockerTarget},
    image::{Image, Software},
    naming, probe,
    script::{HOME, RECORD, Start},
};

/// Linux gives a single argument or variable no more room than this, its final NUL included
/// (`MAX_ARG_STRLEN`, execve(2)).
const LONGEST_ARGUMENT: usize = 128 * 1024;

/// A program, ready to be written down.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) member: Option<&'a Name>,
    pub(crate) spec: &'a ServiceSpec,
    /// The build context's folder, below the target's.
    pub(crate) folder: String,
    /// The build context.
    pub(crate) context: BTreeMap<RelativePath, FileContent>,
    /// What the image is called.
    pub(crate) image: String,
    /// Who it runs as, where not as the image's own user.
    pub(crate) user: Option<String>,
    /// Variables without secrets.
    pub(crate) environment: BTreeMap<String, String>,
    /// The whole command that runs before the first start.
    pub(crate) initializer: Vec<String>,
    /// Directories kept in volumes.
    pub(crate) state: Vec<AbsolutePath>,
    /// Secrets that are mounted.
    pub(crate) secrets: Vec<String>,
    pub(crate) healthcheck: Option<Healthcheck>,
}

/// Lowers a program, adding to the problems and remarks.
pub(crate) fn lower<'a>(
    unit: &Unit<'a>,
    member: Option<&'a Name>,
    spec: &'a ServiceSpec,
    settings: &DockerFunctionality,
    target: &DockerTarget,
    notes: &mut Notes,
) -> Option<Program<'a>> {
    let problems_before = notes.problems.len();
    notes.member = member.cloned();
    let program = Lowering { unit, spec, settings, target, notes: &mut *notes }.lower(member);
    program.filter(|_| notes.problems.len() == problems_before)
}

/// What there is to say about a functionality.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    member: Option<Name>,
    /// Why it cannot be compiled.
    pub(crate) problems: Vec<Remark>,
    /// What is other than one might expect.
    pub(crate) remarks: Vec<Remark>,
}

impl Notes {
    /// The keys that lead to a field of the program in hand.
    fn keys(&self, field: &[&str]) -> Vec<String> {
        let top = match &self.member {
            Some(member) => vec!["group".to_owned(), member.to_string()],
            None => vec!["service".to_owned()],
        };
        top.into_iter().chain(field.iter().map(|&key| key.to_owned())).collect()
    }

    fn refuse(&mut self, field: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Remark::new(self.keys(field), message).remedy(remedy));
    }

    fn remark(&mut self, field: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        self.remarks.push(Remark::new(self.keys(field), message).remedy(remedy));
    }
}

struct Lowering<'a, 'n> {
    unit: &'n Unit<'a>,
    spec: &'a ServiceSpec,
    settings: &'n DockerFunctionality,
    target: &'n DockerTarget,
    notes: &'n mut Notes,
}

impl<'a> Lowering<'a, '_> {
    fn lower(&mut self, member: Option<&'a Name>) -> Option<Program<'a>> {
        let spec = self.spec;
        if spec.on_demand {
            self.notes.refuse(
                &["on-demand"],
                "Docker cannot open a container's sockets before its program runs",
                "set overrides.docker.on-demand = false if the program can open them itself, or \
                 place it on a target of another backend",
            );
        }
        let start = self.argv("start", &spec.start);
        let initializer = self.argv("initializer", &spec.initializer);
        let software = self.software();
        let user = self.user();
        let mut work = Start {
            secrets: secrets(spec).into_iter().map(ToString::to_string).collect(),
            ..Start::default()
        };
        let environment = self.environment(&mut work);
        let (baked, links) = self.files(&mut work);
        let schedule_script = self.schedule();
        let (healthcheck, ready_script) = self.healthcheck().unzip();

        let ready_image = matches!(software, Some(Software::Ready(_)));
        if start.is_empty() && !(ready_image && work.is_empty() && schedule_script.is_none()) {
            self.notes.refuse(
                &["start"],
                if ready_image {
                    "the image's own command is not known here, and something has to be done \
                     around it: a secret, a file or a schedule"
                } else {
                    "there is nothing to start"
                },
                "say the command line in `start`",
            );
        }
        if ready_image && !(work.is_empty() && schedule_script.is_none()) {
            self.notes.remark(
                &["software", "image"],
                "a script in the container fills in secrets and files and runs schedules, so the \
                 image needs a POSIX shell with cat, mkdir, rm and chmod",
                "use an image that has them, or software.debian",
            );
        }
        let mut directories: Vec<(String, u32)> = match user {
            None => Vec::new(),
            Some(_) => spec.state.iter().map(|path| (path.to_string(), 0o700)).collect(),
        };
        let mut state: Vec<AbsolutePath> = spec.state.iter().cloned().collect();
        if schedule_script.is_some() {
            directories.push((RECORD.to_owned(), if user.is_some() { 0o700 } else { 0o1777 }));
            state.extend(AbsolutePath::new(RECORD).ok());
        }
        if user.is_none() && !spec.state.is_empty() {
            self.notes.remark(
                &["state"],
                "the image's own user is not known here, so its directories are left as the image \
                 has them",
                "make sure that the image's user owns them there",
            );
        }
        let scripted = !work.is_empty();
        let image = Image {
            functionality: self.unit.name,
            base_image: &self.target.base_image,
            from: software?,
            user: user.as_deref(),
            shipped: spec.software.path.as_ref().map(|shipped| &shipped.files),
            entrypoint: command(scripted, schedule_script.is_some(), &start),
            scripts: [
                ("start", scripted.then(|| work.print())),
                ("schedule", schedule_script),
                (probe::FILE, ready_script.flatten().map(str::to_owned)),
            ]
            .into_iter()
            .filter_map(|(name, script)| Some((name, script?)))
            .collect(),
            files: baked,
            links,
            directories,
            endpoints: spec.endpoints.values().collect(),
            stop_signal: spec.stop.signal,
        };
        let context = match image.context() {
            Ok(context) => context,
            Err(problem) => {
                self.notes.problems.push(problem);
                return None;
            }
        };
        let folder = naming::folder(self.unit.name, member);
        // File contents and paths always serialize.
        let contents = Digest::of(&context).unwrap_or_else(|_| Digest::of_bytes(b""));
        Some(Program {
            member,
            spec,
            image: naming::image(
                self.unit.deployment,
                &self.unit.site.target.name,
                &folder,
                contents,
            ),
            folder,
            context,
            user,
            environment,
            initializer: command(scripted, false, &initializer),
            state,
            secrets: work.secrets,
            healthcheck,
        })
    }

    fn argv(&mut self, field: &'static str, argv: &[Template]) -> Vec<String> {
        let mut arguments = Vec::with_capacity(argv.len());
        for (at, argument) in argv.iter().enumerate() {
            match argument.as_literal() {
                Some(text) if text.len() >= LONGEST_ARGUMENT => {
                    self.too_long(&[field, &at.to_string()])
                }
                Some(text) if text.contains('\0') => self.nul(&[field, &at.to_string()]),
                Some(text) => arguments.push(text.to_owned()),
                None => self.notes.refuse(
                    &[field, &at.to_string()],
                    "a value that is filled in at the start cannot stand in a command line",
                    "hand it on in `env` or `files`",
                ),
            }
        }
        arguments
    }

    fn too_long(&mut self, field: &[&str]) {
        self.notes.refuse(
            field,
            "Linux gives one argument or variable at most 128 KiB",
            "put the text in `files`",
        );
    }

    fn nul(&mut self, field: &[&str]) {
        self.notes.refuse(
            field,
            "no argument, variable or file name can hold a NUL byte",
            "leave it out, or ship a file with it in software.path",
        );
    }
}

/// The whole command, with the scripts that come before the program.
fn command(scripted: bool, scheduled: bool, argv: &[String]) -> Vec<String> {
    if argv.is_empty() {
        return Vec::new();
    }
    let mut command = Vec::new();
    for (used, script) in [(scripted, "start"), (scheduled, "schedule")] {
        if used {
            command.extend(["/bin/sh".to_owned(), format!("{HOME}/{script}")]);
        }
    }
    command.extend_from_slice(argv);
    command
}

fn secrets(spec: &ServiceSpec) -> BTreeSet<&deployix_core::SecretName> {
    spec.templates().flat_map(|(_, template)| template.secrets()).collect()
}
