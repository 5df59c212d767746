//! `deployix graph`: who needs whom, where each runs, and over what they talk.

use clap::{CommandFactory, error::ErrorKind};
use deployix::core::{
    Name,
    diagnostic::Diagnostics,
    output::{EdgeEntry, GraphDocument, NodeEntry},
};
use serde::Serialize;

use crate::{
    arguments::{Arguments, Graph, GraphFormat},
    pipeline,
    session::{Exit, Session},
};

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    deployment: Option<&'a Name>,
    nodes: &'a [NodeEntry<'a>],
    edges: &'a [EdgeEntry<'a>],
    /// Functionalities that are left out, since they failed before this.
    left: Vec<&'a Name>,
    diagnostics: &'a Diagnostics,
}

pub(crate) fn run(arguments: &Graph, session: &Session) -> Exit {
    let format = match (session.json, arguments.format) {
        (true, Some(GraphFormat::Text | GraphFormat::Dot)) => {
            let message = "--json prints JSON, and --format asks for something else";
            Arguments::command().error(ErrorKind::ArgumentConflict, message).exit()
        }
        (true, _) => GraphFormat::Json,
        (false, format) => format.unwrap_or(GraphFormat::Text),
    };
    let file = &arguments.specs.file;
    let staged = pipeline::connected(pipeline::load(file), &deployix::registry());
    session.tell(&staged.diagnostics);

    let graph = staged.value.as_ref().map(GraphDocument::of);
    match (format, &graph) {
        (GraphFormat::Json, graph) => session.print_json(&Document {
            deployment: graph.as_ref().map(|graph| graph.deployment),
            nodes: graph.as_ref().map_or(&[], |graph| &graph.nodes),
            edges: graph.as_ref().map_or(&[], |graph| &graph.edges),
            left: graph.iter().flat_map(|graph| graph.left).collect(),
            diagnostics: &staged.diagnostics,
        }),
        (GraphFormat::Text, Some(graph)) => session.print(&graph.to_text()),
        (GraphFormat::Dot, Some(graph)) => session.print_raw(&graph.to_dot()),
        (GraphFormat::Text | GraphFormat::Dot, None) => {}
    }
    Exit::of(&staged.diagnostics)
}
