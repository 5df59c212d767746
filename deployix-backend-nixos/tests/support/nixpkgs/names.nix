# The packages that there are.
[ "bash" "coreutils" "curl" "findutils" "git" "gnugrep" "gnused" "haproxy" "hydra" "postgresql" "python3" ]
