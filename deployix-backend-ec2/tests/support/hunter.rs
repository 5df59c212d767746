//! [`Hunter`]: where the values of secrets are from.

use async_trait::async_trait;
use deployix_core::{
    SecretName,
    backend::{SecretError, SecretValue, Secrets},
};

/// A value for every secret: `hunter2 `, and its name.
#[derive(Debug)]
pub(crate) struct Hunter;

#[async_trait]
impl Secrets for Hunter {
    async fn value(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        Ok(SecretValue::new(format!("hunter2 {name}").into_bytes()))
    }
}
