//! Files and directories put in place before a start.

use std::collections::BTreeMap;

use deployix_core::backend::Remark;
use deployix_core::spec::{FileBody, FileContent, FileSpec, Shipped};
use deployix_core::{AbsolutePath, RelativePath};

use super::hardening::is_below;
use super::member::{Member, shell_template};
use super::{Form, software};
use crate::shell::{self, Script};
use crate::syntax::{Attrs, Expr, Operator, Part};
use crate::unit;

/// What a member's files and state come to.
#[derive(Default)]
pub(super) struct Placed {
    /// Settings of the module.
    pub(super) module: Attrs,
    /// Values that the module names once and uses twice.
    pub(super) bindings: Attrs,
    /// `systemd.tmpfiles.rules`.
    pub(super) rules: Vec<Expr>,
    /// `AssertPathIsSymbolicLink`: the paths that have to be links before anything starts.
    pub(super) links: Vec<Expr>,
    /// Shell text that writes the files that not everybody may read.
    pub(super) script: Option<Script>,
    /// Store paths whose change restarts the service.
    pub(super) triggers: Vec<Expr>,
    /// What the service may write to.
    pub(super) writable: Vec<String>,
    /// Files beside the module.
    pub(super) files: BTreeMap<RelativePath, FileContent>,
}

/// Folders that no file of a service can be in: the kernel's, Nix's, those that the sandbox
/// replaces, and Deployix's own.
const NOT_OURS: [&str; 8] =
    ["/dev", "/nix", "/proc", "/sys", "/tmp", "/var/tmp", "/run/deployix", "/etc/deployix"];

/// The folder with a link for each file outside of `/etc`, at the file's own path.
const LINKS: &str = "/etc/deployix/files";

/// Places the files and the state of one member.
pub(super) fn place(member: &Member<'_>, form: Form<'_>, reasons: &mut Vec<Remark>) -> Placed {
    let mut placed = Placed::default();
    for path in &member.spec.state {
        if is_below(path, &NOT_OURS) || is_below(path, &["/run"]) {
            reasons.push(
                member
                    .remark(["state"], format!("what is in `{path}` does not survive on NixOS"))
                    .remedy("choose a directory below /var/lib"),
            );
        }
        match rule("d", path.as_str(), "0700", &member.user, None) {
            Ok(line) => placed.rules.push(line),
            Err(error) => reasons.push(member.remark(["state"], error.to_string())),
        }
        placed.writable.push(path.as_str().to_owned());
    }
    for (index, (path, file)) in member.spec.files.iter().enumerate() {
        if is_below(path, &NOT_OURS) {
            reasons.push(
                member
                    .remark(["files", path.as_str()], "no file can be put there on NixOS")
                    .remedy("choose a path below /etc or /var/lib"),
            );
            continue;
        }
        let done = if is_public(file) {
            public(&mut placed, member, index, path, file, form)
        } else {
            private(&mut placed, member, index, path, file, form)
        };
        if let Err(remark) = done {
            reasons.push(remark);
        }
    }
    placed
}

/// Tells whether a file can be a link into the store, which everybody on the machine can read.
fn is_public(file: &FileSpec) -> bool {
    let secret = matches!(&file.body, FileBody::Text(text) if text.secrets().next().is_some());
    !secret && matches!(file.mode, 0o644 | 0o444 | 0o755 | 0o555)
}

/// Puts a link to the store at the path.
fn public(
    placed: &mut Placed,
    member: &Member<'_>,
    index: usize,
    path: &AbsolutePath,
    file: &FileSpec,
    form: Form<'_>,
) -> Result<(), Remark> {
    let source = store_file(placed, member, index, path, file, form)?;
    let name = member.binding(&format!("file-{index}"));
    placed.bindings.set([name.as_str()], source);
    placed.triggers.push(Expr::var(&name));
    link(placed, member, path, Expr::var(name).into())
}

/// Has the file written at each start, by the service's own user, to a folder that only it can
/// read.
fn private(
    placed: &mut Placed,
    member: &Member<'_>,
    index: usize,
    path: &AbsolutePath,
    file: &FileSpec,
    form: Form<'_>,
) -> Result<(), Remark> {
    let target = format!("/run/{}/{index}-{}", member.runtime_directory(), plain_name(path));
    let new = format!("{target}.new");
    let mut script = placed.script.take().unwrap_or_else(Script::new);
    script = match &file.body {
        FileBody::Text(text) if !text.parts().is_empty() && text.as_literal().is_none() => {
            let content = shell_template(text)
                .map_err(|message| member.remark(["files", path.as_str(), "text"], message))?;
            script.write(content, &shell::Word::text(&new))
        }
        _ => {
            let source = store_file(placed, member, index, path, file, form)?;
            script.command([
                tool("install"),
                shell::Word::text("-T"),
                shell::Word::value(source),
                shell::Word::text(&new),
            ])
        }
    };
    script = script
        .command([
            tool("chmod"),
            shell::Word::text(&format!("{:04o}", file.mode)),
            shell::Word::text(&new),
        ])
        .command([
            tool("mv"),
            shell::Word::text("-fT"),
            shell::Word::text(&new),
            shell::Word::text(&target),
        ]);
    placed.script = Some(script);
    link(placed, member, path, target.into())
}

/// A program of the core utilities, whatever the service's own PATH is.
pub(super) fn tool(name: &str) -> shell::Word {
    shell::Word::value(Expr::var("pkgs").select(["coreutils"])).then_text(&format!("/bin/{name}"))
}

/// A file's content as a path in the store.
fn store_file(
    placed: &mut Placed,
    member: &Member<'_>,
    index: usize,
    path: &AbsolutePath,
    file: &FileSpec,
    form: Form<'_>,
) -> Result<Expr, Remark> {
    let executable = file.mode & 0o111 != 0;
    let content = match &file.body {
        FileBody::Bytes(content) => FileContent { executable, ..content.clone() },
        FileBody::Text(text) => match text.as_literal() {
            Some(text) => FileContent { executable, ..FileContent::plain(text) },
            None => {
                return Err(member.remark(
                    ["files", path.as_str(), "text"],
                    "it has a hole that was not filled in",
                ));
            }
        },
    };
    // The same for every service: several may have the same file at one path.
    let name = format!("file-{}", plain_name(path));
    if let Some(text) = content.as_text().filter(|text| !text.contains('\0')) {
        return Ok(software::write_text(&name, text, executable));
    }
    let lone = format!("{index}-{}", plain_name(path));
    let wrong = |error: deployix_core::name::NameError| {
        member.remark(["files", path.as_str()], error.to_string())
    };
    let shipped =
        Shipped { files: BTreeMap::from([(RelativePath::new(&lone).map_err(wrong)?, content)]) };
    let folder = software::ship(&shipped, &member.binding("files"), form)
        .map_err(|message| member.remark(["files", path.as_str()], message))?;
    placed.files.extend(folder.files);
    Ok(folder.value.then(Operator::Add, format!("/{lone}")))
}

/// Links a path to where its content is.
///
/// NixOS replaces links in `/etc` and nothing else. A link somewhere else therefore leads to one in
/// [`LINKS`], which is the same whoever has what file there: the line of tmpfiles.d(5) makes it where nothing
/// stands, and removes nothing, ever. Where something else stands, the service does not start.
fn link(
    placed: &mut Placed,
    member: &Member<'_>,
    path: &AbsolutePath,
    to: Part,
) -> Result<(), Remark> {
    if let Some(below) = path.as_str().strip_prefix("/etc/") {
        placed.module.set(["environment", "etc", below, "source"], Expr::from(to));
        return Ok(());
    }
    let wrong = |error: unit::UnitError| member.remark(["files", path.as_str()], error.to_string());
    let fixed = format!("{LINKS}/{}", path.relative());
    placed.links.push(unit::assertion(path).map_err(wrong)?.into());
    placed.rules.push(rule("L", path.as_str(), "-", "-", Some(&fixed)).map_err(wrong)?);
    let below = fixed.trim_start_matches("/etc/");
    placed.module.set(["environment", "etc", below, "source"], Expr::from(to));
    Ok(())
}

/// A line of tmpfiles.d(5).
fn rule(
    kind: &str,
    path: &str,
    mode: &str,
    user: &str,
    argument: Option<&str>,
) -> Result<Expr, unit::UnitError> {
    let mut line = format!("{kind} {} {mode} {user} {user} -", unit::text_word(path)?);
    if let Some(argument) = argument {
        // It is the rest of the line, spaces and quotes among it.
        line.push(' ');
        line.push_str(&unit::escape(argument)?);
    }
    Ok(line.into())
}

/// The last part of a path, in characters that a store path's name can have.
fn plain_name(path: &AbsolutePath) -> String {
    let last = path.as_str().rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "+-_.".contains(c) { c } else { '_' };
    last.chars().map(plain).take(64).collect()
}
