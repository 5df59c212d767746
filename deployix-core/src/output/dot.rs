//! A graph in the language of Graphviz (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::{self, Write};

use super::{GraphDocument, NodeEntry, NodeKind};
use crate::backend::Via;

impl GraphDocument<'_> {
    /// The document for Graphviz: a cluster for each target, and on each edge what it runs over.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut dot = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_dot(&mut dot);
        dot
    }

    fn write_dot(&self, dot: &mut String) -> fmt::Result {
        writeln!(dot, "digraph {} {{", Quoted(self.deployment.as_str()))?;
        writeln!(dot, "    rankdir=LR;")?;
        writeln!(dot, "    node [shape=box];")?;
        for (target, nodes) in self.by_target() {
            let head = nodes[0];
            let mut label = format!("{target}\n{}", head.backend.map_or("", |id| id.as_str()));
            if let Some(location) = head.location {
                write!(label, ", {location}")?;
            }
            writeln!(dot, "    subgraph {} {{", Quoted(&format!("cluster_{target}")))?;
            writeln!(dot, "        label={};", Quoted(&label))?;
            for node in nodes {
                writeln!(dot, "        {}", Statement(node))?;
            }
            writeln!(dot, "    }}")?;
        }
        for node in self.nodes.iter().filter(|node| node.target.is_none()) {
            writeln!(dot, "    {}", Statement(node))?;
        }
        for edge in &self.edges {
            let mut label = edge.via.to_string();
            for endpoint in &edge.endpoints {
                write!(label, "\n{endpoint}")?;
            }
            let from = id(false, edge.from.as_str());
            let to = id(edge.via == Via::External, edge.to);
            let (from, to, label) = (Quoted(&from), Quoted(&to), Quoted(&label));
            writeln!(dot, "    {from} -> {to} [label={label}];")?;
        }
        writeln!(dot, "}}")
    }
}

/// What a node is called in the graph; a host outside may have the name of a functionality.
fn id(outside: bool, name: &str) -> String {
    if outside { format!("external {name}") } else { name.to_owned() }
}

/// A node with its label.
struct Statement<'a>(&'a NodeEntry<'a>);

impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        let mut label = node.name.to_owned();
        if let Some(fqdn) = node.fqdn.filter(|fqdn| fqdn.as_str() != node.name) {
            write!(label, "\n{fqdn}")?;
        }
        if let Some(replicas) = node.replicas.filter(|replicas| replicas.get() > 1) {
            write!(label, "\n× {replicas}")?;
        }
        let style = match node.kind {
            NodeKind::Functionality => "",
            NodeKind::LoadBalancer => ", shape=hexagon",
            NodeKind::External => ", style=dashed",
        };
        write!(
            f,
            "{} [label={}{style}];",
            Quoted(&id(node.target.is_none(), node.name)),
            Quoted(&label)
        )
    }
}

/// A double-quoted string. In labels a backslash starts an escape, so it is doubled; a line ends
/// with `\n`.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_ends_where_it_should() {
        assert_eq!(Quoted("a\"b\\\nc").to_string(), r#""a\"b\\\nc""#);
    }
}
