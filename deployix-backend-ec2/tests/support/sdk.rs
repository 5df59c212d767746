//! Configuration of AWS's SDK for a server that plays AWS.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::Credentials;
use aws_smithy_http_client::{Builder, tls};

/// Calls to an endpoint, over the HTTP of whoever is given this.
pub(crate) async fn config(endpoint: String, region: &'static str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .load()
        .await
}

/// The same with HTTP of its own, as the SDK's own clients need it.
pub(crate) async fn config_with_http(endpoint: String, region: &'static str) -> SdkConfig {
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let mut config = config(endpoint, region).await.into_builder();
    config.set_http_client(Some(Builder::new().tls_provider(ring).build_https()));
    config.build()
}
