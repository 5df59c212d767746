//! A graph as text for people: target by target, with what each functionality reaches below it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use super::{GraphDocument, NodeEntry, NodeKind};

impl GraphDocument<'_> {
    /// The document as text: every target with what runs there, and below each functionality whom
    /// it reaches and over what.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        let targets = self.by_target();
        let inside = self.nodes.iter().filter(|node| node.kind == NodeKind::Functionality).count();
        let functionalities = counted(inside, "functionality", "functionalities");
        let on = counted(targets.len(), "target", "targets");
        writeln!(text, "{}: {functionalities} on {on}", self.deployment)?;

        let mut upstreams: BTreeMap<&str, Vec<[String; 4]>> = BTreeMap::new();
        for edge in &self.edges {
            let endpoints = edge.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>();
            let to = format!("→ {}", edge.to);
            let row = [to, edge.fqdn.to_string(), edge.via.to_string(), endpoints.join(", ")];
            upstreams.entry(edge.from.as_str()).or_default().push(row);
        }
        for (target, nodes) in targets {
            let backend = nodes[0].backend.map_or("", |id| id.as_str());
            let location = nodes[0].location.map(|name| format!(", {name}")).unwrap_or_default();
            writeln!(text, "\n{target} ({backend}{location})")?;
            let mut rows = Vec::new();
            for node in nodes {
                rows.push((1, own_row(node)));
                let of_node = upstreams.remove(node.name).unwrap_or_default();
                rows.extend(of_node.into_iter().map(|row| (2, row)));
            }
            write_rows(text, &rows)?;
        }
        if !self.left.is_empty() {
            let left = self.left.iter().map(ToString::to_string).collect::<Vec<_>>();
            writeln!(text, "\nleft out: {}", left.join(", "))?;
        }
        Ok(())
    }
}

/// `1 target`, `2 targets`.
fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn own_row(node: &NodeEntry<'_>) -> [String; 4] {
    let fqdn = node.fqdn.map(ToString::to_string).unwrap_or_default();
    let replicas = node.replicas.map_or(1, u32::from);
    let replicas = if replicas > 1 { format!("× {replicas}") } else { String::new() };
    let endpoints = node.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>();
    [node.name.to_owned(), fqdn, replicas, endpoints.join(", ")]
}

/// Writes rows of columns, each row with its depth.
fn write_rows(text: &mut String, rows: &[(usize, [String; 4])]) -> fmt::Result {
    let indented = |(depth, row): &(usize, [String; 4])| format!("{:1$}{2}", "", depth * 2, row[0]);
    let width = |column: usize| {
        let cell = |row: &(usize, [String; 4])| match column {
            0 => indented(row).chars().count(),
            _ => row.1[column].chars().count(),
        };
        rows.iter().map(cell).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for row in rows {
        let (first, [_, second, third, last]) = (indented(row), &row.1);
        let line =
            format!("{first:0$}  {second:1$}  {third:2$}  {last}", widths[0], widths[1], widths[2]);
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}
