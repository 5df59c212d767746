//! [`DependencyGraph`]: who needs whom. The only module that knows petgraph.

use std::collections::BTreeSet;

use petgraph::{
    Direction,
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
    visit::{Dfs, Reversed},
};

use crate::name::Name;

/// Who needs whom: an edge leads from a consumer to each of its upstreams.
///
/// Edges may form cycles, since peers exist. Nodes stand in the order of their names, so every
/// answer is the same whatever order things were described in.
#[derive(Debug, Clone, Default)]
pub struct DependencyGraph {
    names: Vec<Name>,
    graph: DiGraph<(), ()>,
    /// For each node, its strongly connected component, counted in roll-out order.
    components: Vec<u32>,
}

impl DependencyGraph {
    /// A graph of names, given in order, and edges between their positions, consumer first.
    pub(crate) fn new(names: Vec<Name>, edges: impl Iterator<Item = (u32, u32)>) -> Self {
        debug_assert!(names.is_sorted(), "names come in order");
        let mut graph = DiGraph::with_capacity(names.len(), edges.size_hint().0);
        for _ in &names {
            graph.add_node(());
        }
        // The newest edge is listed first by petgraph, so the last goes in first.
        let mut edges: Vec<_> = edges.collect();
        edges.sort_unstable();
        for &(consumer, provider) in edges.iter().rev() {
            graph.add_edge(NodeIndex::from(consumer), NodeIndex::from(provider), ());
        }
        let mut components = vec![0; names.len()];
        // Unlike Tarjan's, petgraph's Kosaraju does not recurse, so a long chain is no danger.
        for (number, component) in (0..).zip(kosaraju_scc(&graph)) {
            for node in component {
                components[node.index()] = number;
            }
        }
        Self { names, graph, components }
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// Whether a name is among them.
    #[must_use]
    pub fn knows(&self, name: &Name) -> bool {
        self.index(name).is_some()
    }

    /// What it needs directly, in order.
    pub fn upstreams_of<'g>(&'g self, name: &Name) -> impl Iterator<Item = &'g Name> + use<'g> {
        self.neighbours(name, Direction::Outgoing).into_iter()
    }

    /// What needs it directly, in order.
    pub fn consumers_of<'g>(&'g self, name: &Name) -> impl Iterator<Item = &'g Name> + use<'g> {
        self.neighbours(name, Direction::Incoming).into_iter()
    }

    /// The order in which to roll out: groups that need each other, upstreams first.
    #[must_use]
    pub fn roll_out_order(&self) -> Vec<Vec<&Name>> {
        let count = self.components.iter().max().map_or(0, |last| *last as usize + 1);
        let mut order = vec![Vec::new(); count];
        for (name, component) in self.names.iter().zip(&self.components) {
            order[*component as usize].push(name);
        }
        order
    }

    /// What a change or failure of it touches: itself and all that need it, directly or by way of
    /// others.
    #[must_use]
    pub fn reach_of(&self, name: &Name) -> BTreeSet<&Name> {
        let mut reach = BTreeSet::new();
        if let Some(start) = self.index(name) {
            let mut search = Dfs::new(Reversed(&self.graph), start);
            while let Some(node) = search.next(Reversed(&self.graph)) {
                reach.insert(&self.names[node.index()]);
            }
        }
        reach
    }

    /// Whether two nodes, by position, need each other, directly or by way of others.
    pub(crate) fn mutual(&self, left: u32, right: u32) -> bool {
        self.components[left as usize] == self.components[right as usize]
    }

    fn index(&self, name: &Name) -> Option<NodeIndex> {
        self.names.binary_search(name).ok().map(NodeIndex::new)
    }

    fn neighbours(&self, name: &Name, direction: Direction) -> BTreeSet<&Name> {
        let neighbours = |node| self.graph.neighbors_directed(node, direction);
        let nodes = self.index(name).map(neighbours).into_iter().flatten();
        nodes.map(|node| &self.names[node.index()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(names: &[&str], edges: &[(u32, u32)]) -> DependencyGraph {
        let names = names.iter().map(|name| Name::new(name).unwrap()).collect();
        DependencyGraph::new(names, edges.iter().copied())
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn upstreams_are_rolled_out_first_and_peers_together() {
        // a needs b and c, b and c need each other, c needs d.
        let graph = graph(&["a", "b", "c", "d"], &[(0, 1), (0, 2), (1, 2), (2, 1), (2, 3)]);
        let order: Vec<Vec<_>> = graph
            .roll_out_order()
            .into_iter()
            .map(|group| group.into_iter().map(Name::as_str).collect())
            .collect();
        assert_eq!(order, [vec!["d"], vec!["b", "c"], vec!["a"]]);
        let names = |it: Vec<&Name>| it.into_iter().map(Name::to_string).collect::<Vec<_>>();
        assert_eq!(names(graph.upstreams_of(&name("a")).collect()), ["b", "c"]);
        assert_eq!(names(graph.consumers_of(&name("c")).collect()), ["a", "b"]);
        assert_eq!(names(graph.reach_of(&name("d")).into_iter().collect()), ["a", "b", "c", "d"]);
        assert_eq!(names(graph.reach_of(&name("a")).into_iter().collect()), ["a"]);
        assert!(graph.reach_of(&name("x")).is_empty());
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_does_not_exhaust_the_stack() {
        let mut names: Vec<_> = (0..100_000).map(|n| name(&format!("n{n:06}"))).collect();
        names.sort();
        let graph = DependencyGraph::new(names, (0..99_999).map(|n| (n, n + 1)));
        assert_eq!(graph.roll_out_order().len(), 100_000);
        assert_eq!(graph.reach_of(&name("n099999")).len(), 100_000);
    }

    proptest! {
        #[test]
        fn no_upstream_comes_after_what_needs_it(
            edges in prop::collection::vec((0u32..20, 0u32..20), 0..60)
        ) {
            let names = (0..20).map(|n| name(&format!("n{n:02}"))).collect();
            let graph = DependencyGraph::new(names, edges.iter().copied());
            let rank = |node: u32| graph.components[node as usize];
            for (consumer, provider) in edges {
                prop_assert!(rank(provider) <= rank(consumer));
            }
        }
    }
}
