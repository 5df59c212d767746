//! [`CallError`]: why a call gave nothing.

/// Tells why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}{}", .request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
pub struct CallError {
    /// AWS's own code, such as `Throttling`; [`CallError::NO_ANSWER`] where there was no answer.
    pub code: String,
    /// What AWS says of it.
    pub message: String,
    /// By which AWS knows the call.
    pub request_id: Option<String>,
    /// Whether it may have been carried out all the same: a time-out, a connection that was cut,
    /// an error on AWS's side.
    pub maybe_done: bool,
}

impl CallError {
    /// The code of an error that AWS did not give: it did not answer.
    pub const NO_ANSWER: &'static str = "NoAnswer";
    /// Nothing was sent, since nobody could be reached.
    pub const NO_CONNECTION: &'static str = "NoConnection";
    /// The same, for so long that it is given up.
    pub const UNREACHED: &'static str = "Unreached";
    /// Nothing was sent, since the endpoint of the region has no address.
    pub const NO_ENDPOINT: &'static str = "NoEndpoint";
    /// Nothing was sent, since nobody says to which region.
    pub const NO_REGION: &'static str = "NoRegion";
    /// Nothing was sent, since nobody says on whose account.
    pub const NO_CREDENTIALS: &'static str = "NoCredentials";
    /// Nothing was sent, since AWS's configuration on this side cannot be read.
    pub const BAD_CONFIGURATION: &'static str = "BadConfiguration";
    /// What AWS tells has another shape than its API reference says.
    pub const UNREADABLE: &'static str = "UnreadableAnswer";

    /// The code by which Amazon EC2 says that it would do what was asked (API Reference, "Common
    /// parameters", `DryRun`).
    pub const WOULD_BE_DONE: &'static str = "DryRunOperation";

    /// What AWS refuses, so nothing was done.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), request_id: None, maybe_done: false }
    }

    /// AWS tells something that has another shape than its API reference says.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::refused(Self::UNREADABLE, message)
    }

    /// There was no answer, so nobody knows.
    pub fn no_answer(message: impl Into<String>) -> Self {
        let code = Self::NO_ANSWER.to_owned();
        Self { code, message: message.into(), request_id: None, maybe_done: true }
    }
}
