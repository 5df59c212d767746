//! The `deployix` command: specs in; diagnostics, pictures, files, plans and what they become out.
//!
//! Everything it does is in the libraries; here are its arguments and how results are shown.

mod arguments;
mod command;
mod findings;
mod journal;
mod pipeline;
mod plain;
mod plan_file;
mod plan_text;
mod progress;
mod session;
mod tables;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::{Arguments, Command},
    session::Session,
};

fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    let session = Session::new(json);
    let exit = match command {
        Command::Init(arguments) => command::init::run(&arguments, &session),
        Command::Check(arguments) => command::check::run(&arguments, &session),
        Command::Graph(arguments) => command::graph::run(&arguments, &session),
        Command::Compile(arguments) => command::compile::run(&arguments, &session),
        Command::Plan(arguments) => command::plan::run(&arguments, &session),
        Command::Deploy(arguments) => command::deploy::run(&arguments, &session),
        Command::Status(arguments) => command::status::run(&arguments, &session),
        Command::History(arguments) => command::history::run(arguments, &session),
        Command::Destroy(arguments) => command::destroy::run(&arguments, &session),
        Command::Forget(arguments) => command::forget::run(arguments, &session),
    };
    session.finish(exit)
}
