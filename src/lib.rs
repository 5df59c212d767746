//! Describes what runs apart from where it runs, and lets pluggable backends make it real.

pub use deployix_core as core;
