//! Where a service's programs come from.

use std::collections::BTreeMap;

use deployix_core::RelativePath;
use deployix_core::backend::Remark;
use deployix_core::spec::{FileContent, Shipped};

use super::Form;
use super::member::Member;
use crate::shell::{self, Script};
use crate::syntax::{Attrs, Expr, Operator, Param, Part};
use crate::unit::Word;

/// Packages whose programs every service finds, after its own: what a minimal Debian has as well.
const BASE: [&str; 5] = ["bash", "coreutils", "findutils", "gnugrep", "gnused"];

/// Programs of [`BASE`] that are started directly often enough to be known here.
const BASE_PROGRAMS: [&str; 9] =
    ["bash", "cat", "echo", "env", "false", "sh", "sleep", "test", "true"];

/// The folder of what a service ships, as a Nix value, and the files that have to lie beside the
/// module for it.
pub(super) struct Folder {
    pub(super) value: Expr,
    pub(super) files: BTreeMap<RelativePath, FileContent>,
}

/// Ships files: beside the module, or written down inside it.
///
/// # Errors
/// What is wrong with one of them, as a clause.
pub(super) fn ship(shipped: &Shipped, name: &str, form: Form<'_>) -> Result<Folder, String> {
    match form {
        Form::Module(folder) => {
            let mut files = BTreeMap::new();
            for (path, content) in &shipped.files {
                let path = RelativePath::new(format!("modules/{folder}/{name}/{path}"));
                files.insert(path.map_err(|error| error.to_string())?, content.clone());
            }
            Ok(Folder { value: Expr::Path(format!("{folder}/{name}")), files })
        }
        Form::UserData => {
            inside(shipped, name).map(|value| Folder { value, files: BTreeMap::new() })
        }
    }
}

/// A derivation that writes the files; copied and not linked, since programs look for others beside
/// themselves.
fn inside(shipped: &Shipped, name: &str) -> Result<Expr, String> {
    let mut script = Script::new();
    let mut environment = Attrs::new();
    for (index, (path, content)) in shipped.files.iter().enumerate() {
        let Some(text) = content.as_text().filter(|text| !text.contains('\0')) else {
            return Err(format!(
                "`{path}` is not a text file, and a machine's first boot is told as text"
            ));
        };
        let variable = format!("file{index}");
        script = script.install(if content.executable { "0555" } else { "0444" }, &variable, path);
        environment.set([variable], write_text("file", text, false));
    }
    Ok(Expr::var("pkgs").select(["runCommand"]).apply(name).apply(environment).apply(script.text()))
}

/// `pkgs.writeText name text`, or the same as a program.
pub(super) fn write_text(name: &str, text: &str, executable: bool) -> Expr {
    if executable {
        return Expr::var("pkgs").select(["writeTextFile"]).apply(
            Attrs::new().with(["name"], name).with(["text"], text).with(["executable"], true),
        );
    }
    Expr::var("pkgs").select(["writeText"]).apply(name).apply(text)
}

/// The value of `PATH`: the shipped folder and its `bin`, the packages, the base.
pub(super) fn search_path(member: &Member<'_>) -> Result<Expr, Vec<Remark>> {
    let software = &member.spec.software;
    let mut packages = packages(&software.nix).map_err(|wrong| {
        let remark = |path: &&String| {
            member
                .remark(
                    ["software", "nix"],
                    format!("{path:?} is not an attribute path of nixpkgs"),
                )
                .remedy("name attributes joined by dots, such as `python3Packages.psycopg2`")
        };
        wrong.iter().map(remark).collect::<Vec<_>>()
    })?;
    packages.extend(BASE.iter().map(|name| Expr::var("pkgs").select([*name])));
    let packages = Expr::var("lib").select(["makeBinPath"]).apply(Expr::List(packages));
    let (Some(folder), Some(shipped)) = (&member.shipped, &software.path) else {
        return Ok(packages);
    };
    let mut first: Vec<Part> = vec![folder.clone().into(), ":".into()];
    if shipped.files.keys().any(|file| file.as_str().starts_with("bin/")) {
        first.extend([folder.clone().into(), "/bin:".into()]);
    }
    Ok(Expr::concat(first).then(Operator::Add, packages))
}

/// Packages by their attribute paths. Those of one Python belong into one environment: only so does
/// the interpreter find its libraries.
///
/// # Errors
/// The texts that are no attribute paths.
fn packages(paths: &[String]) -> Result<Vec<Expr>, Vec<&String>> {
    let mut pythons: BTreeMap<&str, Vec<Expr>> = BTreeMap::new();
    let mut order: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut wrong = Vec::new();
    for path in paths {
        let keys: Vec<&str> = path.split('.').collect();
        match keys.as_slice() {
            keys if keys.iter().any(|key| key.is_empty() || key.contains('\0')) => wrong.push(path),
            [set, inner @ ..] if !inner.is_empty() && interpreter(set).is_some() => {
                let library = Expr::var("ps").select(inner.iter().copied());
                let libraries = pythons.entry(set).or_default();
                if libraries.is_empty() {
                    order.push((set, Vec::new()));
                }
                libraries.push(library);
            }
            keys => order.push((keys[0], keys.to_vec())),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let covered: Vec<&str> = pythons.keys().filter_map(|set| interpreter(set)).collect();
    Ok(order
        .into_iter()
        .filter(|(_, keys)| !matches!(keys.as_slice(), [only] if covered.contains(only)))
        .map(|(set, keys)| match pythons.get(set) {
            Some(libraries) if keys.is_empty() => {
                Expr::var("pkgs").select([set, "python", "withPackages"]).apply(Expr::Lambda(
                    Param::Name("ps".into()),
                    Box::new(Expr::List(libraries.clone())),
                ))
            }
            _ => Expr::var("pkgs").select(keys),
        })
        .collect())
}

/// `python312` of `python312Packages`.
fn interpreter(set: &str) -> Option<&str> {
    set.strip_suffix("Packages").filter(|name| {
        name.strip_prefix("python")
            .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The first word of a command line. A bare name is looked up on `ExecSearchPath` when the service
/// starts.
pub(super) fn program(member: &Member<'_>, field: &str, name: &str) -> Result<Word, Remark> {
    let software = &member.spec.software;
    let ships =
        software.path.iter().any(|path| path.files.keys().any(|file| file.as_str() == name));
    match &member.shipped {
        _ if name.starts_with('/') => Ok(vec![name.into()]),
        Some(folder) if name.contains('/') && ships => {
            Ok(vec![folder.clone().into(), format!("/{name}").into()])
        }
        _ if name.contains('/') => Err(member
            .remark(
                [field],
                format!("`{name}` is neither an absolute path nor a file of `software.path`"),
            )
            .remedy("give the program's name alone, as it is found on PATH")),
        None if software.nix.is_empty() && !BASE_PROGRAMS.contains(&name) => Err(member
            .remark(["software"], format!("nothing says where `{name}` comes from on NixOS"))
            .remedy(
                "list nixpkgs' attribute paths in `software.nix`, or ship it with `software.path`",
            )),
        // Some characters before a program's name mean something to systemd.
        _ if name.is_empty() || name.starts_with(['-', '@', ':', '+', '!', '|', '.']) => {
            Err(member
                .remark([field], format!("systemd does not take {name:?} for a program's name"))
                .remedy("give its absolute path"))
        }
        _ => Ok(vec![name.into()]),
    }
}

/// The same word for a shell.
pub(super) fn shell_word(word: &Word) -> shell::Word {
    word.iter().fold(shell::Word::default(), |done, part| match part {
        Part::Text(text) => done.then_text(text),
        Part::Value(value) => done.then_value(value.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::print;

    fn printed(paths: &[&str]) -> String {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        print(&Expr::List(packages(&paths).expect("attribute paths"))).expect("prints")
    }

    #[test]
    fn libraries_of_one_python_become_one_environment() {
        assert_eq!(
            printed(&["git", "python3", "python3Packages.psycopg2", "python3Packages.flask"]),
            "[ pkgs.git (pkgs.python3Packages.python.withPackages (ps: [ ps.psycopg2 ps.flask ])) ]\n"
        );
        assert_eq!(printed(&["python3", "postgresql_16"]), "[ pkgs.python3 pkgs.postgresql_16 ]\n");
    }

    #[test]
    fn an_attribute_path_cannot_be_code() {
        assert_eq!(printed(&["a;b", "${x}"]), "[ pkgs.\"a;b\" pkgs.\"\\${x}\" ]\n");
        assert!(packages(&["a..b".to_owned()]).is_err());
    }
}
