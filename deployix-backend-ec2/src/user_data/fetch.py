# Fetches what cloud-init is to do from S3, with the rights of the machine's own role, and leaves it
# where cloud-init reads it before it does anything. Arguments: the bucket, and the key, whose last
# segment is the SHA-256 of the object's bytes. Nothing is unpacked that has another.
import datetime, gzip, hashlib, hmac, json, os, subprocess, sys, time, urllib.error, urllib.request

METADATA = "http://169.254.169.254/latest/"
KEPT = "/var/lib/deployix/user-data.gz"
CONFIGURATION = "/etc/cloud/cloud.cfg.d/99-deployix.cfg"
TRIES = 10


def metadata(path):
    ask = urllib.request.Request(
        METADATA + "api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    token = urllib.request.urlopen(ask, timeout=5).read().decode()
    ask = urllib.request.Request(METADATA + path, headers={"X-aws-ec2-metadata-token": token})
    return urllib.request.urlopen(ask, timeout=5).read().decode()


# Signature Version 4 (AWS Identity and Access Management User Guide, "Create a signed AWS API
# request"); neither bucket nor key has a character that would have to be encoded.
def fetch(bucket, key):
    region, domain = metadata("meta-data/placement/region"), metadata("meta-data/services/domain")
    role = metadata("meta-data/iam/security-credentials/").split()[0]
    has = json.loads(metadata("meta-data/iam/security-credentials/" + role))
    host, path = f"s3.{region}.{domain}", f"/{bucket}/{key}"
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": host,
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": now,
        "x-amz-security-token": has["Token"],
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n{path}\n\n{lines}\n{names}\n{headers['x-amz-content-sha256']}"
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    secret = b"AWS4" + has["SecretAccessKey"].encode()
    for word in scope.split("/"):
        secret = hmac.digest(secret, word.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={has['AccessKeyId']}/{scope},"
        f"SignedHeaders={names},Signature={signature}"
    )
    ask = urllib.request.Request(f"https://{host}{path}", headers=headers)
    return urllib.request.urlopen(ask, timeout=60).read()


# A new role is known everywhere after a while, and a network may come late.
def fetch_patiently(bucket, key):
    for left in reversed(range(TRIES)):
        try:
            return fetch(bucket, key)
        except (OSError, LookupError, ValueError) as error:
            what = error
            if isinstance(error, urllib.error.HTTPError):
                what = f"{error}: {error.read(500).decode(errors='replace')}"
            tell(f"s3://{bucket}/{key} cannot be fetched: {what}")
            if not left:
                stop(
                    f"the machine's role must allow s3:GetObject on s3://{bucket}/{key}, and its network"
                    " lead to S3"
                )
            time.sleep(15)


def is_wanted(content, key):
    return hashlib.sha256(content).hexdigest() == key.rsplit("/", 1)[-1]


def tell(line):
    line = f"deployix: {line}"
    print(line, file=sys.stderr, flush=True)
    try:
        with open("/dev/console", "w") as console:
            console.write(line + "\r\n")
    except OSError:
        pass


# What would go on is a machine without anything on it, which looks well from outside.
def stop(line):
    tell(f"{line}; this machine does nothing and is turned off")
    try:
        os.remove(CONFIGURATION)
    except FileNotFoundError:
        pass
    subprocess.run(["systemctl", "poweroff", "--no-block"])
    sys.exit(1)


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new:
        new.write(content)
    os.replace(path + ".new", path)


def main(bucket, key):
    try:
        with open(KEPT, "rb") as kept:
            content = kept.read()
    except FileNotFoundError:
        content = b""
    if not is_wanted(content, key):
        content = fetch_patiently(bucket, key)
        if not is_wanted(content, key):
            stop(f"s3://{bucket}/{key} has the SHA-256 {hashlib.sha256(content).hexdigest()}")
        put(KEPT, content)
    put(CONFIGURATION, gzip.decompress(content))


main(*sys.argv[1:])
