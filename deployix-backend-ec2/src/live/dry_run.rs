//! [`DryRun`]: asks EC2 whether it would carry a call out.

use aws_sdk_ec2::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut,
    },
    error::BoxError,
};
use aws_sdk_s3::primitives::SdkBody;

/// Adds the parameter `DryRun`, which every operation of EC2 takes, to each call of a client: a form (Amazon
/// EC2 API Reference, "Query requests"), to whose end it is written before it is signed.
#[derive(Debug)]
pub(super) struct DryRun;

const PARAMETER: &[u8] = b"&DryRun=true";

impl Intercept for DryRun {
    fn name(&self) -> &'static str {
        "DryRun"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        // Without it the call would be carried out.
        let form = request.body().bytes().ok_or("a call that is no form cannot be asked about")?;
        let form = [form, PARAMETER].concat();
        request.headers_mut().insert("content-length", form.len().to_string());
        *request.body_mut() = SdkBody::from(form);
        Ok(())
    }
}
