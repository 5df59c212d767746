//! The `deployix` command: specs in, diagnostics, pictures, files and plans out.
//!
//! Everything it does is in the libraries; here are its arguments and how results are shown.

mod arguments;
mod command;
mod findings;
mod pipeline;
mod plain;
mod session;

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
    };
    session.finish(exit)
}
