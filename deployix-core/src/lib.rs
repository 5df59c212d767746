//! The model, the graph, the stages and the contracts of Deployix.
