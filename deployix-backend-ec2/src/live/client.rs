//! [`Sdk`]: configuration, regions, time-outs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_http_client::tls;
use aws_types::os_shim_internal::{Env, Fs};
use tokio::sync::OnceCell;

use super::{create, dry_run::DryRun, fault, read, storage, write};
use crate::{
    engine::{
        Aws,
        call::{Answer, Call, CallError},
    },
    request::Service,
};

/// How long one call may take. Nothing is tried again within that: whoever calls does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until there is a connection, with its encryption.
    pub connect: Duration,
    /// From a request's last byte until its answer begins.
    pub read: Duration,
    /// The whole call.
    pub attempt: Duration,
}

impl Default for Timeouts {
    /// 5, 30 and 60 seconds: AWS answers within a few, and a machine that is started or a large page
    /// takes longest.
    fn default() -> Self {
        let of = Duration::from_secs;
        Self { connect: of(5), read: of(30), attempt: of(60) }
    }
}

/// AWS itself, by its own SDK.
///
/// Nothing is read before the first call. Then the configuration is that of every AWS tool (AWS SDKs
/// and Tools Reference Guide, "Configuration"): the environment, the profiles of `~/.aws`, IAM
/// Identity Center, processes, the role of the machine this runs on; `AWS_ENDPOINT_URL` and its
/// kin send the calls elsewhere. Each region has clients of its own, which are kept.
#[derive(Debug, Default)]
pub struct Sdk {
    given: Option<SdkConfig>,
    timeouts: Timeouts,
    config: OnceCell<Result<SdkConfig, CallError>>,
    regions: Mutex<BTreeMap<String, Clients>>,
}

/// The clients of a region.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    pub(super) ec2: aws_sdk_ec2::Client,
    /// The same, which asks whether calls would be carried out and carries none out.
    asks_ec2: aws_sdk_ec2::Client,
    pub(super) scaling: aws_sdk_autoscaling::Client,
    pub(super) balancing: aws_sdk_elasticloadbalancingv2::Client,
    pub(super) names: aws_sdk_route53::Client,
    pub(super) systems: aws_sdk_ssm::Client,
    pub(super) storage: aws_sdk_s3::Client,
}

impl Clients {
    fn new(config: &SdkConfig) -> Self {
        Self {
            ec2: aws_sdk_ec2::Client::new(config),
            asks_ec2: aws_sdk_ec2::Client::from_conf(
                aws_sdk_ec2::config::Builder::from(config).interceptor(DryRun).build(),
            ),
            scaling: aws_sdk_autoscaling::Client::new(config),
            balancing: aws_sdk_elasticloadbalancingv2::Client::new(config),
            names: aws_sdk_route53::Client::new(config),
            systems: aws_sdk_ssm::Client::new(config),
            storage: storage::client(config),
        }
    }
}

impl Sdk {
    /// As this machine's environment and files say.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As somebody else says, but for time-outs and retries; over this client's own HTTP where nobody
    /// says another.
    #[must_use]
    pub fn with(config: SdkConfig) -> Self {
        Self { given: Some(config), ..Self::default() }
    }

    /// The same with other time-outs.
    #[must_use]
    pub fn within(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    async fn config(&self) -> Result<&SdkConfig, CallError> {
        let load = || async {
            let config = match self.given.clone() {
                Some(given) if given.http_client().is_some() => given,
                Some(given) => given.into_builder().http_client(http_client()).build(),
                None => load().await?,
            };
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(self.timeouts.connect)
                .read_timeout(self.timeouts.read)
                .operation_attempt_timeout(self.timeouts.attempt)
                .operation_timeout(self.timeouts.attempt)
                .build();
            let builder = config.into_builder();
            Ok(builder.retry_config(RetryConfig::disabled()).timeout_config(timeouts).build())
        };
        self.config.get_or_init(load).await.as_ref().map_err(Clone::clone)
    }

    async fn clients(&self, region: Option<&str>) -> Result<Clients, CallError> {
        let config = self.config().await?;
        let region = match region {
            Some(region) => Region::new(region.to_owned()),
            None => config.region().cloned().ok_or_else(|| {
                let message =
                    "neither the location nor AWS's configuration on this machine names a region";
                CallError::refused(CallError::NO_REGION, message)
            })?,
        };
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let name = region.to_string();
        let new = || Clients::new(&config.to_builder().region(region).build());
        Ok(regions.entry(name).or_insert_with(new).clone())
    }
}

async fn load() -> Result<SdkConfig, CallError> {
    check_profile().await?;
    // One of its own, as later versions change what a default is.
    let version = BehaviorVersion::v2026_01_12();
    Ok(aws_config::defaults(version).http_client(http_client()).load().await)
}

/// Refuses files that cannot be read, and a profile that is not there: the SDK passes over both, says that
/// nobody gives credentials, and asks for those of the machine it runs on.
async fn check_profile() -> Result<(), CallError> {
    let files = EnvConfigFiles::default();
    let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &files, None)
        .await
        .map_err(|error| fault::bad_configuration(&error))?;
    let name = profiles.selected_profile();
    // Whoever has no files at all has no profile that is called so either.
    if name == "default" || profiles.get_profile(name).is_some() {
        return Ok(());
    }
    let known = profiles.profiles().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".to_owned() } else { known };
    let message = format!("there is no profile `{name}`; those that there are: {known}");
    Err(CallError::refused(CallError::BAD_CONFIGURATION, message))
}

/// HTTP with TLS by ring.
fn http_client() -> SharedHttpClient {
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    aws_smithy_http_client::Builder::new().tls_provider(provider).build_https()
}

#[async_trait]
impl Aws for Sdk {
    async fn call(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError> {
        let clients = self.clients(region).await?;
        match call {
            Call::DryRun(call) if call.service() == Service::Ec2 => {
                let ec2 = clients.asks_ec2.clone();
                send(&Clients { ec2, ..clients }, call).await
            }
            call => send(&clients, call).await,
        }
    }
}

async fn send(clients: &Clients, call: &Call) -> Result<Answer, CallError> {
    match call {
        Call::Create { request, client_token } => {
            create::create(clients, request, client_token.as_deref()).await
        }
        Call::Write(write) => write::write(clients, write).await,
        Call::Read(read) => read::read(clients, read).await,
        // Carried out it must not be.
        Call::DryRun(call) => {
            let message = format!("{} cannot be asked about", call.operation());
            Err(CallError::refused("InvalidInput", message))
        }
    }
}
