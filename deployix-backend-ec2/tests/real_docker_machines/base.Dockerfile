# The base image of what runs on the machines, with the packages in it that the example installs: what takes minutes on each
# machine is done once.
FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      git nftables postgresql python3 python3-psycopg2 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*
