//! [`Aws`]: the narrow client, and the calls that go through it.
//!
//! A call is plain data in AWS's own names and shapes: the [`Request`]s that make things, the
//! [`Write`]s that change and remove them, and the [`Read`]s that tell what stands. So the same
//! engine runs over AWS's SDK and over a world of a test's own.

mod error;
mod read;
mod write;

use std::fmt;

use async_trait::async_trait;
pub use error::CallError;
pub use read::{Answer, Described, Filter, Page, Query, Read};
pub use write::{InterfaceAttribute, Write};

use crate::request::{Request, Service};

/// Carries calls out. Whoever talks to AWS by it tries nothing again, waits for nothing and gives one
/// page at a time: the engine does the rest.
#[async_trait]
pub trait Aws: fmt::Debug + Send + Sync {
    /// Carries out one call in a region; in that of whoever deploys where it is `None`.
    ///
    /// # Errors
    /// What AWS answers, or that it did not.
    async fn call(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError>;
}

/// One call of an AWS API.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Makes something; every value in the request is known. With a token, where the operation
    /// takes one: the same token with the same request makes nothing a second time.
    Create {
        /// What to make.
        request: Box<Request>,
        /// The operation's `ClientToken`.
        client_token: Option<String>,
    },
    /// Changes or removes something.
    Write(Write),
    /// Tells what stands.
    Read(Read),
    /// Asks whether Amazon EC2 would carry a call out, without carrying it out (its operations'
    /// `DryRun`). The answer is an error of AWS either way: [`CallError::WOULD_BE_DONE`], or why not.
    DryRun(Box<Call>),
}

impl Call {
    /// The operation's name in the API.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Create { request, .. } => request.operation(),
            Self::Write(write) => write.operation(),
            Self::Read(read) => read.operation(),
            Self::DryRun(call) => call.operation(),
        }
    }

    /// The service that takes it.
    #[must_use]
    pub fn service(&self) -> Service {
        match self {
            Self::Create { request, .. } => request.service(),
            Self::Write(write) => write.service(),
            Self::Read(read) => read.service(),
            Self::DryRun(call) => call.service(),
        }
    }

    /// Whether carrying it out twice is the same as once.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Create { client_token, .. } => client_token.is_some(),
            // A second refresh is refused while the first goes on, and begins anew after it.
            Self::Write(write) => !matches!(write, Write::StartInstanceRefresh { .. }),
            Self::Read(_) | Self::DryRun(_) => true,
        }
    }
}

impl Call {
    /// Asks whether something would be made. The token is one under which nothing is ever made.
    pub(super) fn dry_run(request: Request) -> Self {
        let client_token = request.takes_token().then(|| "dry-run".to_owned());
        Self::DryRun(Box::new(Self::Create { request: Box::new(request), client_token }))
    }
}
