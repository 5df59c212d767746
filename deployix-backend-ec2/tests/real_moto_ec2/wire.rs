//! As much of HTTP/1.1 as AWS's SDK and moto speak with each other: a body has a length, and a
//! connection is for one request.

use std::{collections::BTreeMap, io};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request in one of AWS's protocols; mostly the query protocol.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
    pub(crate) body: String,
    /// The operation; its HTTP method where nothing else names it.
    pub(crate) action: String,
    /// The parameters, in the query protocol.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Of the scope that the request is signed for.
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Request {
    /// Reads one; nothing where the other side hung up before.
    pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length: usize = header(&head, "content-length").unwrap_or("0").parse().unwrap();
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        }
        let body = String::from_utf8(bytes[end..end + length].to_vec()).unwrap();
        Ok(Some(Self::new(head, body)))
    }

    fn new(head: String, body: String) -> Self {
        let scope = header(&head, "authorization").unwrap_or_default();
        let scope = scope.split("Credential=").nth(1).unwrap_or_default();
        let scope: Vec<_> = scope.split([',', '/']).map(str::to_owned).collect();
        let of_scope = |at: usize| scope.get(at).cloned().unwrap_or_default();
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        let parameters: BTreeMap<String, String> = match header(&head, "content-type") {
            Some("application/x-www-form-urlencoded") => {
                pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
            }
            _ => BTreeMap::new(),
        };
        let target = header(&head, "x-amz-target").and_then(|it| it.split('.').nth(1));
        let method = head.split(' ').next().unwrap_or_default();
        let action = parameters.get("Action").map(String::as_str).or(target).unwrap_or(method);
        let action = action.to_owned();
        Self { action, parameters, region: of_scope(2), service: of_scope(3), head, body }
    }

    /// One that nobody signed, which moto does not look at.
    pub(crate) fn unsigned(region: &str, parameters: &[(&str, &str)]) -> Self {
        let encoded = |text: &str| {
            let byte = |byte: u8| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).into(),
                other => format!("%{other:02X}"),
            };
            text.bytes().map(byte).collect::<String>()
        };
        let pairs = parameters.iter().map(|(key, value)| format!("{key}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let head = format!(
            "POST / HTTP/1.1\r\nHost: ec2.{region}.amazonaws.com\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/{region}/ec2/aws4_request, SignedHeaders=host, Signature=0\
             \r\n\r\n",
            body.len()
        );
        Self::new(head, body)
    }

    /// The same with one parameter more.
    pub(crate) fn and(&self, key: &str, value: &str) -> Self {
        let body = format!("{}&{key}={value}", self.body);
        let lines = self.head.trim_end().split("\r\n").map(|line| {
            if line.to_ascii_lowercase().starts_with("content-length:") {
                format!("content-length: {}", body.len())
            } else {
                line.to_owned()
            }
        });
        let head = lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
        Self::new(head, body)
    }

    pub(crate) fn parameter(&self, key: &str) -> &str {
        self.parameters.get(key).map_or("", String::as_str)
    }

    /// Whether it asks for anything to be made, changed or removed, and not only whether it may.
    pub(crate) fn writes(&self) -> bool {
        self.parameter("DryRun") != "true"
            && !["Describe", "Get", "GET", "List"].iter().any(|read| self.action.starts_with(read))
    }

    /// Carries it out on one of moto's accounts.
    pub(crate) async fn send(&self, moto: &str, account: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(moto).await?;
        let lines = self.head.trim_end().split("\r\n");
        let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let mut text = kept.collect::<Vec<_>>().join("\r\n");
        text += &format!("\r\nx-moto-account-id: {account}\r\nConnection: close\r\n\r\n");
        text += &self.body;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.unwrap_or(502), body: body.to_owned() })
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// An answer, in XML.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// An error as the service tells it: EC2 has a form of its own.
    pub(crate) fn error(service: &str, status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Code>{code}</Code><Message>{message}</Message>");
        let id = "<RequestID>00000000-0000-4000-8000-000000000000</RequestID>";
        let body = if service == "ec2" {
            format!("<Response><Errors><Error>{error}</Error></Errors>{id}</Response>")
        } else {
            let id = id.replace("RequestID", "RequestId");
            format!("<ErrorResponse><Error><Type>Sender</Type>{error}</Error>{id}</ErrorResponse>")
        };
        Self { status, body }
    }

    /// The text of the first element of a name.
    pub(crate) fn element(&self, name: &str) -> Option<&str> {
        let after = self.body.split(&format!("<{name}>")).nth(1)?;
        after.split('<').next()
    }

    pub(crate) async fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let Self { status, body } = self;
        let head = format!(
            "HTTP/1.1 {status} Told\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).await?;
        stream.shutdown().await
    }
}
