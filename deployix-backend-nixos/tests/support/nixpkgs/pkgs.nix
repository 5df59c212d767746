# What the generated modules use of nixpkgs, made of the programs of the machine that runs the tests: every package is
# /usr, and texts become real files of the store.
{ }:
let
  inherit (builtins) listToAttrs map toFile;
  names = [ "bash" "coreutils" "curl" "findutils" "git" "gnugrep" "gnused" "haproxy" "hydra" "postgresql" "python3" ];
  system = listToAttrs (map (name: { inherit name; value = "/usr"; }) names);
in
system // {
  # Debian keeps the server's programs away from the others.
  postgresql = "/usr/lib/postgresql/17";
  python3Packages.python.withPackages = libraries:
    assert libraries { psycopg2 = 1; flask = 2; } != [ ];
    "/usr";
  # What a test is made of is all that there is of it here.
  testers.runNixOSTest = test: test;
  writeText = toFile;
  writeTextFile = { name, text, executable }: assert executable; toFile name text;
  writeShellScript = name: text: toFile name "#!/bin/bash\n${text}";
  runCommand = name: environment: text: builtins.seq (toString (builtins.attrValues environment)) (toFile name text);
}
