# The same packages where they can be built: texts become derivations, which bash of the machine carries out.
{ system }:
let
  run = name: environment: script: derivation (environment // {
    inherit name system;
    builder = "/bin/bash";
    # Nix takes a builder whose output is closed for one that hangs, and kills it; some kernels close the output a moment
    # before the process has ended, so something else keeps it open longer.
    args = [ "-euc" "trap 'sleep 0.3 &' EXIT\n${script}" ];
    PATH = "/usr/bin:/bin";
  });
  writeTextFile = { name, text, executable ? false }: run name { inherit text; passAsFile = [ "text" ]; } ''
    cp "$textPath" "$out"
    chmod ${if executable then "555" else "444"} "$out"
  '';
in
import ./pkgs.nix { } // {
  inherit writeTextFile;
  writeText = name: text: writeTextFile { inherit name text; };
  writeShellScript = name: text: writeTextFile { inherit name; text = "#!/bin/bash\n${text}"; executable = true; };
  runCommand = run;
}
