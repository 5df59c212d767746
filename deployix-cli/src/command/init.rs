//! `deployix init`: a small working deployment, to start from.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use deployix::core::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    load::Format,
};
use serde::Serialize;

use crate::{
    arguments::Init,
    plain::plain,
    session::{Exit, Session},
};

const NAME: &str = "deployment.toml";
const TEXT: &str = include_str!("init.toml");

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    /// The file that was made; nothing where there is one already.
    file: Option<String>,
    diagnostics: &'a Diagnostics,
}

pub(crate) fn run(arguments: &Init, session: &Session) -> Exit {
    let folder = &arguments.folder;
    let path = if folder == Path::new(".") { NAME.into() } else { folder.join(NAME) };
    let made = make(folder, &path);
    let findings: Diagnostics = made.as_ref().err().map(|it| (**it).clone()).into_iter().collect();
    session.tell(&findings);

    let file = made.is_ok().then(|| path.display().to_string());
    if session.json {
        session.print_json(&Document { file, diagnostics: &findings });
    } else if let Some(file) = &file {
        let file = plain(file);
        session.print(&format!(
            "made {file}\nsee what it says with `deployix graph`, and what it compiles to with \
             `deployix compile --out compiled`\n"
        ));
    }
    Exit::of(&findings)
}

/// Makes the deployment's file, unless there is one in any format.
fn make(folder: &Path, file: &Path) -> Result<(), Box<Diagnostic>> {
    let failed = |path: &Path, error: io::Error| {
        let message = format!("cannot make `{}`: {error}", path.display());
        Box::new(Diagnostic::error(Code::FileNotWritten, message))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))?.flatten() {
        let path = entry.path();
        if path.file_stem().is_some_and(|stem| stem == "deployment") && Format::of(&path).is_some()
        {
            let message = format!("there is a deployment already: `{}`", path.display());
            return Err(Diagnostic::error(Code::FileNotWritten, message)
                .remedy("choose another folder; nothing is overwritten")
                .into());
        }
    }
    let mut made = File::create_new(file).map_err(|error| failed(file, error))?;
    made.write_all(TEXT.as_bytes()).map_err(|error| failed(file, error))
}
