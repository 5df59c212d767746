//! Dockerfile text: a typed tree and its one printer.
//!
//! Three small languages meet in a Dockerfile, and each has one function here: exec forms are JSON
//! (`exec`), other operands are words in which `$`, `"` and `\` are special (`word`), and
//! every instruction is one logical line of which no physical line may pass 64 KiB (`Line`).
//! The rules are those of the reference parser, `moby/buildkit/frontend/dockerfile`, which the
//! classic builder shares.
//!
//! Only what generated files use is in the tree. `ADD` is not: it fetches addresses and unpacks
//! archives where `COPY` copies. Neither is the shell form of `RUN`: its text is not data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::error::EmitError;

/// A whole Dockerfile: comment lines, then the stages in order. The last one is the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// What the file says about itself, a line each.
    pub comment: Vec<String>,
    /// The stages.
    pub stages: Vec<Stage>,
}

/// One `FROM` and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What the stage starts from.
    pub from: From,
    /// What later stages call it.
    pub name: Option<String>,
    /// Its instructions, in order.
    pub steps: Vec<Instruction>,
}

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// An image of a registry or of the engine, or `scratch`.
    Image(String),
    /// An earlier stage.
    Stage(String),
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instruction {
    /// Runs a program while building, without a shell of the builder's.
    Run(Vec<String>),
    /// Copies files into the image.
    Copy(Copy),
    /// Sets a variable for later instructions and for the container. Cannot hold a line break.
    Env {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// Puts folders before those that the `PATH` of the image names.
    PrependPath(Vec<String>),
    /// Describes the image, by its keys and their values. Cannot hold a line break.
    ///
    /// All at once: a builder that dies between two instructions leaves an image with those before.
    Label(BTreeMap<String, String>),
    /// Who runs what follows: `name`, `uid` or `uid:gid`.
    User(String),
    /// Where what follows runs.
    Workdir(String),
    /// Documents a port.
    Expose {
        /// The port.
        port: u16,
        /// `tcp`, `udp` or `sctp`.
        protocol: &'static str,
    },
    /// The signal that asks the container to end.
    StopSignal(String),
    /// How the engine learns that the container works.
    Healthcheck {
        /// Seconds between two tries.
        interval: u32,
        /// Seconds after which a try has failed.
        timeout: u32,
        /// Seconds at the start in which failures do not count.
        start_period: u32,
        /// Failures in a row after which the container is unhealthy.
        retries: u32,
        /// The command, run without a shell.
        command: Vec<String>,
    },
    /// What the container runs. Also forgets the `CMD` of the image it starts from.
    Entrypoint(Vec<String>),
    /// The entry point's further arguments.
    Cmd(Vec<String>),
}

/// A `COPY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// The earlier stage it copies from, else the build context.
    pub from: Option<String>,
    /// The owner in the image, `uid:gid`; root unless given.
    pub chown: Option<String>,
    /// A path in the stage or the context: letters, digits and `._-/` alone. Builders read it as a
    /// pattern and disagree on how to escape one, so generated contexts keep to plain names.
    pub source: String,
    /// An absolute path in the image. One that ends in `/` is a folder.
    pub destination: String,
}

impl Dockerfile {
    /// Prints the file.
    ///
    /// # Errors
    /// A value that the format cannot carry: see [`EmitError`].
    pub fn print(&self) -> Result<String, EmitError> {
        let mut out = String::new();
        for line in &self.comment {
            // One comment stays one line, and an empty one keeps its `#`.
            let _ =
                writeln!(out, "{}", format!("# {}", line.replace(['\r', '\n'], " ")).trim_end());
        }
        let mut known = BTreeSet::new();
        for stage in &self.stages {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&print_from(stage, &known)?);
            if let Some(name) = &stage.name
                && !known.insert(name.as_str())
            {
                return Err(EmitError::Stage { stage: name.clone() });
            }
            for step in &stage.steps {
                out.push_str(&print_step(step, &known)?);
            }
        }
        Ok(out)
    }
}

/// What engines use where an image sets no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn print_from(stage: &Stage, known: &BTreeSet<&str>) -> Result<String, EmitError> {
    let mut line = Line::new("FROM");
    match &stage.from {
        // An image that is called like an earlier stage would silently become that stage.
        From::Image(image) if known.contains(image.as_str()) => {
            return Err(EmitError::Stage { stage: image.clone() });
        }
        From::Image(image) => line.plain(image_reference(image)?),
        From::Stage(name) => line.plain(known_stage(name, known)?),
    }
    if let Some(name) = &stage.name {
        let valid = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if !valid {
            return Err(EmitError::Stage { stage: name.clone() });
        }
        line.plain("AS");
        line.plain(name);
    }
    Ok(line.end())
}

fn print_step(step: &Instruction, known: &BTreeSet<&str>) -> Result<String, EmitError> {
    let line = match step {
        Instruction::Run(argv) => exec_line("RUN", argv)?,
        Instruction::Entrypoint(argv) => exec_line("ENTRYPOINT", argv)?,
        Instruction::Cmd(argv) => exec_line("CMD", argv)?,
        Instruction::Copy(copy) => {
            let mut line = Line::new("COPY");
            if let Some(stage) = &copy.from {
                line.plain(&format!("--from={}", known_stage(stage, known)?));
            }
            if let Some(owner) = &copy.chown {
                line.plain(&format!("--chown={owner}"));
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
            if copy.source.is_empty() || !copy.source.bytes().all(plain) {
                return Err(EmitError::CopySource { source_path: copy.source.clone() });
            }
            // In the JSON form, each string is then read as a word.
            let source = copy.source.clone();
            let destination = word(&copy.destination, "COPY")?;
            exec(&mut line, &[source, destination], "COPY")?;
            line
        }
        Instruction::Env { name, value } => pairs_line("ENV", [(name, value)])?,
        Instruction::PrependPath(folders) => {
            let folders = word(&folders.join(":"), "ENV")?;
            let mut line = Line::new("ENV");
            // An image without one would get an empty last folder, which means the current one.
            line.word(&format!("PATH={folders}:\"${{PATH:-{DEFAULT_PATH}}}\""));
            line
        }
        Instruction::Label(labels) => return label(labels),
        Instruction::User(user) => word_line("USER", user)?,
        Instruction::Workdir(path) => word_line("WORKDIR", path)?,
        Instruction::StopSignal(signal) => word_line("STOPSIGNAL", signal)?,
        Instruction::Expose { port, protocol } => {
            let mut line = Line::new("EXPOSE");
            line.plain(&format!("{port}/{protocol}"));
            line
        }
        Instruction::Healthcheck { interval, timeout, start_period, retries, command } => {
            let mut line = Line::new("HEALTHCHECK");
            line.plain(&format!("--interval={interval}s"));
            line.plain(&format!("--timeout={timeout}s"));
            line.plain(&format!("--start-period={start_period}s"));
            line.plain(&format!("--retries={retries}"));
            line.plain("CMD");
            exec(&mut line, command, "HEALTHCHECK")?;
            line
        }
    };
    Ok(line.end())
}

fn exec_line(keyword: &'static str, argv: &[String]) -> Result<Line, EmitError> {
    let mut line = Line::new(keyword);
    exec(&mut line, argv, keyword)?;
    Ok(line)
}

fn word_line(keyword: &'static str, text: &str) -> Result<Line, EmitError> {
    let mut line = Line::new(keyword);
    line.word(&word(text, keyword)?);
    Ok(line)
}

fn pairs_line<'p>(
    keyword: &'static str,
    pairs: impl IntoIterator<Item = (&'p String, &'p String)>,
) -> Result<Line, EmitError> {
    let mut line = Line::new(keyword);
    for (name, value) in pairs {
        let name = word(name, keyword)?;
        let value = word(value, keyword)?;
        line.word(&format!("{name}={value}"));
    }
    Ok(line)
}

/// Prints one `LABEL`, as a line of its own; nothing where there is none.
pub(crate) fn label(labels: &BTreeMap<String, String>) -> Result<String, EmitError> {
    if labels.is_empty() {
        return Ok(String::new());
    }
    Ok(pairs_line("LABEL", labels)?.end())
}

fn known_stage<'s>(name: &'s str, known: &BTreeSet<&str>) -> Result<&'s str, EmitError> {
    if known.contains(name) { Ok(name) } else { Err(EmitError::Stage { stage: name.to_owned() }) }
}

/// Checks an image reference's characters; the engine checks its grammar.
///
/// # Errors
/// [`EmitError::ImageReference`] where `FROM` could read the text as anything but one reference.
pub fn image_reference(text: &str) -> Result<&str, EmitError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(EmitError::ImageReference { reference: text.to_owned() })
    }
}

/// A word: bare where nothing in it is special, else in double quotes, in which a backslash escapes
/// `"`, `$` and itself.
fn word(text: &str, place: &str) -> Result<String, EmitError> {
    // A longer one may have to be folded, which only quotes allow.
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"._-/:".contains(&b);
    if !text.is_empty() && text.len() < 256 && text.bytes().all(bare) {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\0' => {
                return Err(EmitError::Nul { place: place.to_owned() });
            }
            '\n' => {
                return Err(EmitError::LineBreak { place: place.to_owned() });
            }
            '"' | '$' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}

/// Appends the exec form: a JSON array of strings.
fn exec(line: &mut Line, argv: &[String], place: &str) -> Result<(), EmitError> {
    line.plain("[");
    for (index, argument) in argv.iter().enumerate() {
        if argument.contains('\0') {
            return Err(EmitError::Nul { place: place.to_owned() });
        }
        line.text.push_str(if index > 0 { ", \"" } else { "\"" });
        for c in argument.chars() {
            line.json(c);
        }
        line.text.push('"');
    }
    line.text.push(']');
    Ok(())
}

/// One instruction while it is printed, folded so that no physical line gets too long.
///
/// The parser joins a line that ends in a backslash to the next one as if nothing stood between
/// them, but drops a next line that is blank or starts with `#`, and takes no line of 64 KiB.
struct Line {
    text: String,
    /// Where the current physical line starts in `text`.
    start: usize,
}

/// Physical lines are folded once they are this long, in bytes.
const FOLD_AT: usize = 32 * 1024;

impl Line {
    fn new(keyword: &str) -> Self {
        Self { text: keyword.to_owned(), start: 0 }
    }

    /// Appends an operand that holds nothing special.
    fn plain(&mut self, operand: &str) {
        self.text.push(' ');
        self.text.push_str(operand);
    }

    /// Appends an operand made by [`word`], folded between two quoted stretches.
    fn word(&mut self, quoted: &str) {
        self.text.push(' ');
        let mut inside = false;
        let mut escaped = false;
        for c in quoted.chars() {
            if inside && !escaped && self.is_long() {
                self.text.push('"');
                self.fold();
                self.text.push('"');
            }
            self.text.push(c);
            inside ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
        }
    }

    /// Appends one character of a JSON string, folding before it if need be.
    fn json(&mut self, c: char) {
        let fold = self.is_long();
        if fold {
            // The line must not end in a backslash of its own before the one that folds it.
            if self.text.ends_with("\\\\") {
                self.text.truncate(self.text.len() - 2);
                self.text.push_str("\\u005c");
            }
            self.fold();
        }
        match c {
            '"' => self.text.push_str("\\\""),
            '\\' => self.text.push_str("\\\\"),
            '\n' => self.text.push_str("\\n"),
            '\t' if !fold => self.text.push_str("\\t"),
            c if c.is_control() || (fold && (c == '#' || c.is_whitespace())) => {
                let _ = write!(self.text, "\\u{:04x}", u32::from(c));
            }
            // Kept out of the raw text, where a reader of the file could take them for an end.
            '\u{feff}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(self.text, "\\u{:04x}", u32::from(c));
            }
            c => self.text.push(c),
        }
    }

    fn is_long(&self) -> bool {
        self.text.len() - self.start > FOLD_AT
    }

    fn fold(&mut self) {
        self.text.push_str("\\\n");
        self.start = self.text.len();
    }

    fn end(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(step: Instruction) -> Result<String, EmitError> {
        let stage = Stage { from: From::Image("scratch".into()), name: None, steps: vec![step] };
        let text = Dockerfile { comment: vec![], stages: vec![stage] }.print()?;
        Ok(text.trim_start_matches("FROM scratch\n").to_owned())
    }

    #[test]
    fn exec_forms_are_json() {
        let argv = vec!["a".into(), "\"\\\n$x\r é".into()];
        assert_eq!(
            one(Instruction::Cmd(argv)).unwrap(),
            "CMD [\"a\", \"\\\"\\\\\\n$x\\u000d é\"]\n"
        );
    }

    #[test]
    fn words_escape_what_the_builder_expands() {
        let labels = [("a b", "${x}\"\\"), ("c", "d")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            one(Instruction::Label(labels.into())).unwrap(),
            "LABEL \"a b\"=\"\\${x}\\\"\\\\\" c=d\n"
        );
    }

    #[test]
    fn what_the_format_cannot_carry_is_refused() {
        let nul = one(Instruction::Run(vec!["a\0b".into()])).unwrap_err();
        assert_eq!(nul, EmitError::Nul { place: "RUN".into() });
        let line = one(Instruction::Workdir("/a\nRUN x".into())).unwrap_err();
        assert_eq!(line, EmitError::LineBreak { place: "WORKDIR".into() });
        let stage = Stage { from: From::Image("a b".into()), name: None, steps: vec![] };
        let file = Dockerfile { comment: vec![], stages: vec![stage] };
        assert!(matches!(file.print(), Err(EmitError::ImageReference { .. })));
    }

    #[test]
    fn an_image_cannot_be_mistaken_for_a_stage() {
        let stage = |name: Option<&str>| Stage {
            from: From::Image("files".into()),
            name: name.map(str::to_owned),
            steps: vec![],
        };
        let file = Dockerfile { comment: vec![], stages: vec![stage(Some("files")), stage(None)] };
        assert_eq!(file.print(), Err(EmitError::Stage { stage: "files".into() }));
    }

    #[test]
    fn no_line_is_too_long_or_starts_like_a_comment() {
        for text in crate::hostile::long(100_000) {
            let cmd = one(Instruction::Cmd(vec![text.clone()])).unwrap();
            let label = one(Instruction::Label([("k".into(), text)].into())).unwrap();
            for line in cmd.lines().chain(label.lines()) {
                assert!(line.len() < 64 * 1024, "{} bytes", line.len());
                assert!(!line.trim_start().starts_with('#') && !line.trim().is_empty());
            }
        }
    }
}
