//! The script by which a machine fetches its secrets signs its requests as botocore does, which is
//! what AWS takes; servers that only mock AWS take anything.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const SCRIPT: &str = include_str!("../src/guest/fetch-secrets.sh");

/// A metadata service, and a Parameter Store that refuses what botocore would have signed otherwise.
const SERVER: &str = r#"
import http.server, json, sys
from http.client import HTTPMessage
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

mine = Credentials("ASIAEXAMPLE", "wJalr/XUtn+FEMI=", "IQoJb3/JpZ2+luX==")
told = Credentials("ASIAEXAMPLE", sys.argv[1], "IQoJb3/JpZ2+luX==")

class Server(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self.answer(200, "token")

    def do_GET(self):
        metadata = {
            "placement/region": "eu-central-1",
            "services/domain": "amazonaws.com",
            "iam/security-credentials/": "db",
            "iam/security-credentials/db": json.dumps(
                {"AccessKeyId": told.access_key, "SecretAccessKey": told.secret_key, "Token": told.token}, indent=2
            ),
        }
        self.answer(200, metadata[self.path.removeprefix("/latest/meta-data/")])

    def do_POST(self):
        given = self.headers
        signed = given["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        request = AWSRequest("POST", f"http://{given['Host']}{self.path}", headers=dict(given))
        request.data = self.rfile.read(int(given["Content-Length"]))
        request.context["timestamp"] = given["X-Amz-Date"]

        class Auth(SigV4Auth):
            def headers_to_sign(self, _):
                headers = HTTPMessage()
                for name in signed:
                    headers[name] = given[name]
                return headers

        auth = Auth(mine, "ssm", "eu-central-1")
        text = auth.string_to_sign(request, auth.canonical_request(request))
        if given["Authorization"].endswith(f"Signature={auth.signature(text, request)}"):
            self.answer(200, '{"Parameter":{"Value":"base64:aHVudGVyMg==","Version":1}}')
        else:
            self.answer(403, '{"__type":"InvalidSignatureException","message":"of another"}')

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Runs the script with a secret key; what it wrote, or its first complaint.
fn fetched_with(key: &str) -> Result<String, String> {
    let python = std::env::var("DEPLOYIX_PYTHON")
        .expect("DEPLOYIX_PYTHON names no python with botocore: run scripts/test");
    let mut server = Command::new(python)
        .args(["-c", SERVER, key])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python does not start: run scripts/test");
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let at = format!("http://127.0.0.1:{}", port.trim());
    let folder = tempfile::tempdir().unwrap();
    let mut script = Command::new("sh")
        .args(["-c", SCRIPT, "fetch-secrets", folder.path().to_str().unwrap(), "/a/b", "db"])
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &at)
        .env("AWS_ENDPOINT_URL_SSM", &at)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends, or complains and asks again.
    let mut complaint = String::new();
    BufReader::new(script.stderr.take().unwrap()).read_line(&mut complaint).unwrap();
    let _ = script.kill();
    script.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    match complaint.as_str() {
        "" => Ok(fs::read_to_string(folder.path().join("db")).unwrap()),
        _ => Err(complaint),
    }
}

#[test]
fn aws_would_take_what_the_script_signs() {
    assert_eq!(fetched_with("wJalr/XUtn+FEMI="), Ok("hunter2".to_owned()));
}

#[test]
fn the_oracle_refuses_what_another_key_signed() {
    let complaint = fetched_with("another").unwrap_err();
    assert!(complaint.contains("InvalidSignatureException of another"), "{complaint}");
}
