//! What the client makes of answers: errors of AWS's own, of the way there, and of neither.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[path = "support/sdk.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod sdk;

use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use deployix_backend_ec2::{
    engine::{
        Aws,
        call::{Answer, Call, CallError, Query, Read, Write},
    },
    live::{Sdk, Timeouts},
    request::{CreateInternetGateway, CreateRouteTable, VpcId},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};

async fn config(endpoint: String) -> SdkConfig {
    sdk::config(endpoint, "eu-central-1").await
}

/// Somebody who answers every request with these bytes, and what was asked.
async fn answering(bytes: String, after: Duration) -> (Sdk, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, asks) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).await.unwrap();
            asked.send(String::from_utf8_lossy(&request[..length]).into_owned()).await.unwrap();
            sleep(after).await;
            // Who waits no more has hung up.
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
    });
    let mut timeouts = Timeouts::default();
    timeouts.attempt = Duration::from_millis(500);
    (Sdk::with(config(format!("http://{address}")).await).within(timeouts), asks)
}

fn http(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} So\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn error(code: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>as AWS says</Message></Error></Errors>\
         <RequestID>4f1d2b5c</RequestID></Response>"
    )
}

fn vpcs() -> Call {
    Read::DescribeVpcs(Query::default()).into()
}

/// What comes of a call that is answered so.
async fn told(bytes: String, call: &Call) -> Result<Answer, CallError> {
    let (sdk, mut asks) = answering(bytes, Duration::ZERO).await;
    let told = sdk.call(None, call).await;
    drop(sdk);
    assert!(asks.recv().await.is_some());
    assert!(asks.try_recv().is_err(), "the engine tries again, not the client");
    told
}

#[tokio::test]
async fn an_error_keeps_its_code_message_and_request_and_whether_it_may_be_done() {
    for (status, body, code, maybe_done) in [
        (400, error("InvalidVpcID.NotFound"), "InvalidVpcID.NotFound", false),
        (503, error("RequestLimitExceeded"), "RequestLimitExceeded", false),
        (500, error("InternalError"), "InternalError", true),
        (503, error("Unavailable"), "Unavailable", true),
    ] {
        let error = told(http(status, &body), &vpcs()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.maybe_done), (code, maybe_done));
        assert_eq!(error.message, "as AWS says");
        assert_eq!(error.request_id.as_deref(), Some("4f1d2b5c"));
    }
}

#[tokio::test]
async fn an_error_without_a_code_is_known_by_its_status() {
    for (status, code, maybe_done) in [
        (429, "TooManyRequestsException", false),
        (500, "InternalFailure", true),
        (503, "ServiceUnavailable", true),
        (404, "HTTP status 404", false),
    ] {
        let error = told(http(status, "<html>so it is</html>"), &vpcs()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.maybe_done), (code, maybe_done), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_is_none_is_no_answer() {
    for bytes in [
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<Describe".to_owned(),
        http(200, "it works"),
    ] {
        let error = told(bytes.clone(), &vpcs()).await.unwrap_err();
        assert_eq!(error.code, CallError::NO_ANSWER, "{bytes:?}: {error}");
        assert!(error.maybe_done);
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_its_time_out() {
    let (sdk, _asks) = answering(http(200, ""), Duration::from_secs(20)).await;
    let began = Instant::now();
    let error = sdk.call(None, &vpcs()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.maybe_done), (CallError::NO_ANSWER, true), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn nobody_listening_is_told_as_that_and_nothing_was_done() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let sdk = Sdk::with(config(format!("http://127.0.0.1:{port}")).await);
    let error = sdk.call(None, &vpcs()).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.maybe_done),
        (CallError::NO_CONNECTION, false),
        "{error}"
    );
}

#[test]
fn a_call_takes_little_of_the_stack() {
    let calls = || async {
        let sdk = Sdk::with(config("http://127.0.0.1:1".to_owned()).await);
        let make = CreateInternetGateway { tag_specifications: Vec::new() };
        let make = Call::Create { request: Box::new(make.into()), client_token: None };
        let vpc_id = VpcId::new("vpc-0123abcd").unwrap();
        for call in [vpcs(), make, Write::DeleteVpc { vpc_id }.into()] {
            let error = sdk.call(None, &call).await.unwrap_err();
            assert_eq!(error.code, CallError::NO_CONNECTION);
        }
    };
    // A quarter of what a thread of tokio's has, without optimization.
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(calls());
    });
    thread.unwrap().join().unwrap();
}

#[tokio::test]
async fn what_lacks_what_is_always_there_is_an_error_and_never_left_out() {
    let vpc = |fields: &str| {
        let item = format!("<vpcId>vpc-0123abcd</vpcId><state>available</state>{fields}");
        format!("<DescribeVpcsResponse><vpcSet><item>{item}</item></vpcSet></DescribeVpcsResponse>")
    };
    let good = vpc("<cidrBlock>10.0.0.0/16</cidrBlock>");
    let Ok(Answer::Vpc(page)) = told(http(200, &good), &vpcs()).await else { panic!() };
    assert_eq!(page.items.len(), 1);
    for (fields, words) in [
        ("", "CidrBlock is missing"),
        ("<cidrBlock>all of it</cidrBlock>", "CidrBlock is \"all of it\""),
        ("<cidrBlock>10.0.0.0/16</cidrBlock><tagSet><item><value>x</value></item></tagSet>", "Key"),
    ] {
        let error = told(http(200, &vpc(fields)), &vpcs()).await.unwrap_err();
        assert_eq!(error.code, CallError::UNREADABLE);
        assert!(error.message.contains(words), "{error}");
    }
    let make = CreateInternetGateway { tag_specifications: Vec::new() };
    let make = Call::Create { request: Box::new(make.into()), client_token: None };
    let body = "<CreateInternetGatewayResponse/>";
    assert_eq!(told(http(200, body), &make).await.unwrap_err().code, CallError::UNREADABLE);
}

#[tokio::test]
async fn a_creation_has_the_token_it_was_given_and_is_refused_without() {
    let vpc = VpcId::new("vpc-0123abcd").unwrap();
    let request = CreateRouteTable { vpc_id: vpc.clone().into(), tag_specifications: Vec::new() };
    let make =
        |client_token| Call::Create { request: Box::new(request.clone().into()), client_token };
    let body = "<CreateRouteTableResponse><routeTable><routeTableId>rtb-0123abcd</routeTableId>\
                </routeTable></CreateRouteTableResponse>";
    let (sdk, mut asks) = answering(http(200, body), Duration::ZERO).await;
    let made = sdk.call(None, &make(Some("of-the-step".to_owned()))).await.unwrap();
    assert_eq!(made, Answer::Made("rtb-0123abcd".to_owned()));
    assert!(asks.recv().await.unwrap().contains("ClientToken=of-the-step"));
    let error = sdk.call(None, &make(None)).await.unwrap_err();
    assert!(error.message.contains("client token"), "{error}");
    assert!(asks.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn each_region_has_its_own_clients_and_none_is_guessed() {
    let body = "<DeleteVpcResponse><return>true</return></DeleteVpcResponse>";
    let (sdk, mut asks) = answering(http(200, body), Duration::ZERO).await;
    let vpc_id = VpcId::new("vpc-0123abcd").unwrap();
    let call = Call::from(Write::DeleteVpc { vpc_id });
    for (region, signed_for) in [
        (Some("us-east-1"), "/us-east-1/ec2/"),
        (None, "/eu-central-1/ec2/"),
        (Some("us-east-1"), "/us-east-1/ec2/"),
    ] {
        assert_eq!(sdk.call(region, &call).await, Ok(Answer::Done));
        assert!(asks.recv().await.unwrap().contains(signed_for));
    }
    let mut nowhere = config("http://127.0.0.1:1".to_owned()).await.into_builder();
    nowhere.set_region(None);
    let error = Sdk::with(nowhere.build()).call(None, &call).await.unwrap_err();
    assert_eq!(error.code, CallError::NO_REGION);
}
