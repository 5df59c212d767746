# Inside a container: cloud-init's whole first boot, with stand-ins for the metadata service and S3.
# What is below /t is the test's: the user data, and the object that S3 gives.
import http.server, json, os, ssl, subprocess, sys, threading

ROLE = "meta-data/iam/security-credentials/"
TOLD = {
    "meta-data/placement/region": "eu-central-1",
    "meta-data/services/domain": "amazonaws.com",
    ROLE: "boot",
    ROLE + "boot": json.dumps({"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T"}),
}


class Answers(http.server.BaseHTTPRequestHandler):
    def say(self, content, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Metadata(Answers):
    def do_PUT(self):
        self.say(b"token")

    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "token":
            return self.say(b"version 2 is required", 401)
        self.say(TOLD[self.path.removeprefix("/latest/")].encode())


class Storage(Answers):
    def do_GET(self):
        signed = "authorization" in self.headers and self.headers["x-amz-security-token"] == "T"
        with open("/t/object", "rb") as content:
            self.say(content.read(), 200 if signed else 403)


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


HOST = "s3.eu-central-1.amazonaws.com"
run("ip", "addr", "add", "169.254.169.254/32", "dev", "lo")
with open("/etc/hosts", "a") as hosts:
    hosts.write(f"127.0.0.1 {HOST}\n")
run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/key.pem", "-out", "/ca.pem",
    "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")  # fmt: skip
os.environ["SSL_CERT_FILE"] = "/ca.pem"
metadata = http.server.HTTPServer(("169.254.169.254", 80), Metadata)
storage = http.server.HTTPServer(("127.0.0.1", 443), Storage)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/ca.pem", "/key.pem")
storage.socket = context.wrap_socket(storage.socket, server_side=True)
for server in (metadata, storage):
    threading.Thread(target=server.serve_forever, daemon=True).start()

# Programs that a container has no use for.
for name in ("systemctl", "ssh-keygen"):
    with open(os.open(f"/usr/local/bin/{name}", os.O_WRONLY | os.O_CREAT, 0o755), "w") as program:
        program.write(f"#!/bin/sh\necho {name} \"$@\" >> /calls\n")
os.makedirs("/var/lib/cloud/seed/nocloud")
os.symlink("/t/user-data", "/var/lib/cloud/seed/nocloud/user-data")
with open("/var/lib/cloud/seed/nocloud/meta-data", "w") as about:
    about.write("instance-id: i-1\n")
with open("/etc/cloud/cloud.cfg.d/00-source.cfg", "w") as source:
    source.write("datasource_list: [NoCloud]\n")
for stage in (["init", "--local"], ["init"], ["modules", "--mode=config"], ["modules", "--mode=final"]):
    print(run("cloud-init", *stage).stdout)
with open("/var/log/cloud-init.log") as log:
    print(log.read())
print("--- did")
for path in ("/did", "/calls"):
    if os.path.exists(path):
        with open(path) as did:
            print(did.read())
sys.stdout.flush()
os._exit(0)
