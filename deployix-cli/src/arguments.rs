//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use deployix::core::{BackendId, Name};

/// Describes what runs apart from where it runs, and compiles it for every place.
#[derive(Debug, Parser)]
#[command(name = "deployix", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Prints one JSON document on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 something failed or is invalid, 2 wrong usage, \
                          3 changes found (plan --exit-code).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a small working deployment in an empty folder.
    Init(Init),
    /// Shows every problem in the specs, at once.
    Check(Check),
    /// Shows who needs whom, where each runs, and over what they talk.
    Graph(Graph),
    /// Writes what the backends generate.
    Compile(Compile),
    /// Shows what would change, and why.
    Plan(Plan),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder, made where there is none.
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Specs {
    /// The deployment's file, or the folder it is in.
    #[arg(value_name = "FILE", default_value = "deployment.toml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) specs: Specs,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) specs: Specs,
    /// How to show it; --json stands for json.
    #[arg(long, value_enum)]
    pub(crate) format: Option<GraphFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Target by target, for people.
    Text,
    /// For Graphviz.
    Dot,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Compile {
    #[command(flatten)]
    pub(crate) specs: Specs,
    /// The folder to write into, below it one folder for each target.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Compiles everything for this backend, on one target named after it.
    #[arg(long, value_name = "NAME", value_parser = backend)]
    pub(crate) backend: Option<BackendId>,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) specs: Specs,
    /// Plans for this functionality, and what it cannot be made without; may be given again.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<Name>,
    /// Exits with 3 where there is something to change.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// A backend that this program was built with.
fn backend(text: &str) -> Result<BackendId, String> {
    let registry = deployix::registry();
    match registry.backend_named(text) {
        Some(backend) => Ok(backend.id().clone()),
        None => Err(registry.remedy_for_backend(text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_make_sense_together() {
        Arguments::command().debug_assert();
    }
}
