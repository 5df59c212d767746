//! What cannot be written down faithfully, and what to do about it.

/// A value that a generated file cannot carry byte for byte.
///
/// The printers refuse such a value rather than change it: a container that starts with an
/// argument other than the one asked for is worse than one that is not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A NUL byte ends every argument, variable and file name, so none can hold one.
    #[error("{place} holds a NUL byte, which no argument, variable or file name can carry")]
    Nul {
        /// Where the value stands in the generated file, such as `services.web.command`.
        place: String,
    },
    /// A Dockerfile instruction ends with its line, and its words know no escape for a line break.
    #[error("{place} holds a line break, which a word of a Dockerfile cannot carry")]
    LineBreak {
        /// The instruction, such as `LABEL`.
        place: String,
    },
    /// An image reference outside the grammar of the distribution specification.
    #[error("`{reference}` is not an image reference such as `debian:bookworm-slim`")]
    ImageReference {
        /// The text given.
        reference: String,
    },
    /// A stage that a `FROM` or `COPY --from` names before it is made, or that is made twice.
    #[error("`{stage}` is not the name of exactly one earlier stage")]
    Stage {
        /// The stage's name.
        stage: String,
    },
    /// A `COPY` source that some builder would read as a pattern.
    #[error("`{source_path}` cannot be copied: a source may hold letters, digits and `._-/` alone")]
    CopySource {
        /// The path given.
        source_path: String,
    },
    /// A name outside what Compose allows for services, networks, volumes and secrets.
    #[error("`{name}` cannot name anything in a Compose file: it must match [a-zA-Z0-9._-]+")]
    ComposeName {
        /// The text given.
        name: String,
    },
}
