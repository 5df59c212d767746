//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use deployix::core::{BackendId, HistoryId, Name};

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
                          3 changes found (plan --exit-code), 130 interrupted.";

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
    /// Makes it real.
    Deploy(Deploy),
    /// Shows what runs where, since when, and who is at what.
    Status(Status),
    /// Shows what happened.
    History(History),
    /// Removes what was made, dependents first.
    Destroy(Destroy),
    /// Takes a target that nobody will reach again for gone, with all that stood there.
    Forget(Forget),
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
    /// Asks the providers as well what really stands, and tells what was changed there.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Writes the plan into this file, for `deploy --plan`.
    #[arg(long, value_name = "PLAN")]
    pub(crate) out: Option<PathBuf>,
    /// Asks the providers as well what of the plan may not be done, without doing any of it; exits with 1
    /// where something may not.
    #[arg(long)]
    pub(crate) check_permissions: bool,
    /// Exits with 3 where there is something to change.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Plans as if what this history kept, which is lost, were the deployment's own history's; see
    /// `deploy --take-over`.
    #[arg(long, value_name = "ID")]
    pub(crate) take_over: Option<HistoryId>,
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The deployment's file or folder (deployment.toml where none is given), and catalogs
    /// (deployix.toml): with any of these, their functionalities alone are deployed.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Deploys this functionality, and what it cannot be made without; may be given again.
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    pub(crate) only: Vec<Name>,
    /// Carries out this plan, which `plan --out` wrote; refused where what it touches has moved on.
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<PathBuf>,
    /// Does not ask the providers what really stands.
    #[arg(long)]
    pub(crate) no_refresh: bool,
    /// Does not ask whether to go on.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Takes over what this history kept, which is lost: from now on the deployment's own history
    /// keeps it. What was made carries the id of the history that keeps it and stays as it is for any
    /// other; refusals tell that id.
    #[arg(long, value_name = "ID")]
    pub(crate) take_over: Option<HistoryId>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) specs: Specs,
    /// Asks the providers as well what really stands.
    #[arg(long)]
    pub(crate) refresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// A functionality or target, to be told of that alone, and the deployment's file; either may
    /// be left out.
    #[arg(value_names = ["NAME", "FILE"], num_args = 0..=2)]
    pub(crate) words: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Destroy {
    #[command(flatten)]
    pub(crate) specs: Specs,
    /// Removes this functionality; may be given again.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<Name>,
    /// Removes volumes and whatever else holds data as well.
    #[arg(long)]
    pub(crate) volumes: bool,
    /// Does not ask whether to go on.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Removes as well what this history kept, which is lost, as found on the targets; see
    /// `deploy --take-over`.
    #[arg(long, value_name = "ID")]
    pub(crate) take_over: Option<HistoryId>,
}

#[derive(Debug, Args)]
#[command(after_help = FORGET)]
pub(crate) struct Forget {
    /// The targets, and the deployment's file, which has a dot or a slash in it and may be left out.
    #[arg(value_names = ["TARGET", "FILE"], required = true, num_args = 1..)]
    pub(crate) words: Vec<PathBuf>,
    /// Does not ask whether to go on.
    #[arg(long)]
    pub(crate) yes: bool,
}

const FORGET: &str = "No provider is asked to remove anything: what still is there runs on, and nobody \
                      looks after it any more. Where it can be reached, use destroy instead. The \
                      history keeps who forgot what and when.";

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
