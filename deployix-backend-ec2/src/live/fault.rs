//! What the SDK calls an error, as the engine reads errors.

use std::{error::Error, future::Future, iter::successors, pin::Pin};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

use super::InputError;
use crate::engine::{call::CallError, is_throttled};

/// Sends a call, and reads its error where there is one.
///
/// What the SDK does meanwhile is large, so it is kept apart: held by whoever chooses among all the
/// operations, it would take more of the stack than a thread has.
pub(super) fn sent<'c, C, F, O, E>(
    call: C,
    send: impl FnOnce(C) -> F,
) -> Pin<Box<dyn Future<Output = Result<O, CallError>> + Send + 'c>>
where
    F: Future<Output = Result<O, SdkError<E, HttpResponse>>> + Send + 'c,
    E: ProvideErrorMetadata + Error + 'static,
    O: 'c,
{
    let sending = send(call);
    Box::pin(async move { sending.await.map_err(|error| fault(&error)) })
}

impl From<InputError> for CallError {
    fn from(error: InputError) -> Self {
        Self::refused("InvalidInput", error.to_string())
    }
}

fn fault<E>(error: &SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(error) = source::<CredentialsError>(error) {
        return no_credentials(error);
    }
    let message = chain(error);
    match error {
        SdkError::ServiceError(service) => refusal(service.err().meta(), service.raw()),
        SdkError::ConstructionFailure(_) => CallError::refused("InvalidInput", message),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            CallError::refused("InvalidInput", message)
        }
        SdkError::DispatchFailure(_) if is_before_sending(error) => no_connection(message),
        // A time-out, a connection that was cut, an answer of which a part is missing.
        _ => CallError::no_answer(message),
    }
}

/// What AWS says on its own account. It may have done what it was asked for where it fails itself.
fn refusal(told: &aws_sdk_ec2::error::ErrorMetadata, raw: &HttpResponse) -> CallError {
    let status = raw.status().as_u16();
    let code = told.code().filter(|code| !code.is_empty()).map(str::to_owned);
    if code.is_none() && status < 300 {
        return CallError::no_answer("the answer is none of AWS's");
    }
    // A balancer in front of AWS's own machines has no codes.
    let code = code.unwrap_or_else(|| match status {
        429 => "TooManyRequestsException".to_owned(),
        503 => "ServiceUnavailable".to_owned(),
        500.. => "InternalFailure".to_owned(),
        _ => format!("HTTP status {status}"),
    });
    let message = told.message().unwrap_or("AWS says no more than that").to_owned();
    let mut error = CallError::refused(code, message);
    error.request_id = told.request_id().map(str::to_owned).or_else(|| id_in_body(raw));
    error.maybe_done = status >= 500 && !is_throttled(&error);
    error
}

/// The request's id as the body tells it, which the SDK takes from the header alone: `RequestID` in
/// EC2, `RequestId` elsewhere.
fn id_in_body(raw: &HttpResponse) -> Option<String> {
    let body = std::str::from_utf8(raw.body().bytes()?).ok()?;
    let after = |name: &str| body.split(&format!("<{name}>")).nth(1)?.split('<').next();
    after("RequestID").or_else(|| after("RequestId")).map(str::to_owned)
}

/// Why there are no credentials.
fn no_credentials(error: &CredentialsError) -> CallError {
    let message = chain(error);
    // AWS's own tools say so of a session of IAM Identity Center and of a role's.
    if message.to_ascii_lowercase().contains("expired") {
        return CallError::refused("ExpiredToken", message);
    }
    let code = match error {
        CredentialsError::InvalidConfiguration(_) => CallError::BAD_CONFIGURATION,
        CredentialsError::ProviderTimedOut(_) => CallError::NO_CONNECTION,
        _ => CallError::NO_CREDENTIALS,
    };
    CallError::refused(code, message)
}

/// Files of AWS's configuration that cannot be used.
pub(super) fn bad_configuration(error: &(dyn Error + 'static)) -> CallError {
    CallError::refused(CallError::BAD_CONFIGURATION, chain(error))
}

/// Whether nobody was reached: the HTTP client says `(Connect)` where no connection came to be,
/// which its own type tells as well, and is not public.
fn is_before_sending(error: &(dyn Error + 'static)) -> bool {
    all(error).any(|error| error.to_string().contains("(Connect)"))
}

fn no_connection(message: String) -> CallError {
    // As `getaddrinfo` says it of a name that there is not; of a name server that is not reached it
    // says that this may pass.
    let text = message.to_ascii_lowercase();
    let no_name = ["name or service not known", "name does not resolve", "nodename nor servname"];
    if no_name.iter().any(|words| text.contains(words)) {
        return CallError::refused(CallError::NO_ENDPOINT, message);
    }
    CallError::refused(CallError::NO_CONNECTION, message)
}

fn all<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn source<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    all(error).find_map(|error| error.downcast_ref())
}

/// An error with all its causes, each told once, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in all(error).map(ToString::to_string) {
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
    }
    let lines =
        texts.iter().flat_map(|text| text.lines()).map(|line| line.trim().trim_end_matches(':'));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_are_no_credentials_is_told_apart() {
        for (error, code) in [
            (CredentialsError::not_loaded("nobody has any"), CallError::NO_CREDENTIALS),
            (
                CredentialsError::invalid_configuration("no such profile"),
                CallError::BAD_CONFIGURATION,
            ),
            (CredentialsError::provider_error("the SSO session has expired"), "ExpiredToken"),
            (CredentialsError::provider_error("it ended with status 1"), CallError::NO_CREDENTIALS),
            (
                CredentialsError::provider_timed_out(std::time::Duration::from_secs(5)),
                CallError::NO_CONNECTION,
            ),
        ] {
            assert_eq!(no_credentials(&error).code, code, "{error:?}");
        }
    }

    #[test]
    fn what_is_told_on_several_lines_is_one() {
        let error =
            CredentialsError::not_loaded("nobody has any. Asked:\n  Environment\n  Profile");
        let message = no_credentials(&error).message;
        assert!(message.ends_with("Asked: Environment: Profile"), "{message}");
    }

    #[test]
    fn a_region_that_does_not_exist_is_told_from_a_name_server_that_is_not_there() {
        let lookup = "dns error: failed to lookup address information: ";
        for (words, code) in [
            ("Name or service not known", CallError::NO_ENDPOINT),
            ("Temporary failure in name resolution", CallError::NO_CONNECTION),
        ] {
            let error = no_connection(format!("client error (Connect): {lookup}{words}"));
            assert_eq!((error.code.as_str(), error.maybe_done), (code, false));
        }
    }
}
