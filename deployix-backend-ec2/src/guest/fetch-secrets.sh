#!/bin/sh
# Fetches secrets from Parameter Store: fetch-secrets FOLDER PATH NAME..
# The parameter PATH/NAME becomes the file FOLDER/NAME, which nobody reads but root. It asks with the
# machine's own role, again and again: a role may come after its machine, and rights after a role.
set -eu
umask 077
folder=$1
path=$2
shift 2
imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}

# metadata PATH: what the machine's metadata service tells, in its version 2.
metadata() {
  curl -sS --fail --noproxy '*' --max-time 5 -H "X-aws-ec2-metadata-token: $token" \
    "$imds/latest/meta-data/$1"
}

# field NAME: the text of a field of the JSON on standard input.
field() {
  sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# Where to ask, and as whom.
sign_in() {
  token=$(curl -sS --fail --noproxy '*' --max-time 5 -X PUT \
    -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$imds/latest/api/token") || return 1
  region=$(metadata placement/region) || return 1
  domain=$(metadata services/domain) || return 1
  endpoint=${AWS_ENDPOINT_URL_SSM:-https://ssm.$region.$domain}
  role=$(metadata iam/security-credentials/) || return 1
  credentials=$(metadata "iam/security-credentials/$role") || return 1
  id=$(printf %s "$credentials" | field AccessKeyId)
  key=$(printf %s "$credentials" | field SecretAccessKey)
  session=$(printf %s "$credentials" | field Token)
  if [ -z "$id" ] || [ -z "$key" ] || [ -z "$session" ]; then
    echo "the machine's role has no credentials yet" >&2
    return 1
  fi
}

# ask NAME: what Parameter Store answers. Credentials are in no argument, which others could see.
ask() {
  curl -sS --max-time 30 --config - <<END
url = "$endpoint/"
aws-sigv4 = "aws:amz:$region:ssm"
user = "$id:$key"
header = "X-Amz-Security-Token: $session"
header = "X-Amz-Target: AmazonSSM.GetParameter"
header = "Content-Type: application/x-amz-json-1.1"
data = "{\"Name\":\"$path/$1\",\"WithDecryption\":true}"
END
}

# fetch NAME..: all of them.
fetch() {
  sign_in || return 1
  for name in "$@"; do
    answer=$(ask "$name") || return 1
    value=$(printf %s "$answer" | field Value)
    case $value in
      base64:*) ;;
      '')
        reason=$(printf %s "$answer" | field __type)
        message=$(printf %s "$answer" | field '[Mm]essage')
        echo "there is no $path/$name to be had: $reason $message" >&2
        return 1
        ;;
      *)
        echo "$path/$name was not written by Deployix: deploy again" >&2
        return 1
        ;;
    esac
    # Some JSON has a backslash (octal 134) before each slash. The file is complete before it has its name.
    printf %s "${value#base64:}" | tr -d '\134' | base64 -d >"$folder/.$name" || return 1
    mv -fT -- "$folder/.$name" "$folder/$name" || return 1
  done
}

install -d -m 0700 -- "$folder"
pause=1
until fetch "$@"; do
  sleep "$pause"
  pause=$((pause < 16 ? pause * 2 : 30))
done
