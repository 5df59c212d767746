# Evaluates modules against the declared options, with nixpkgs' own `lib` where its folder is given.
{ modules, nixpkgs ? null }:
let
  lib = if nixpkgs == null then import ./lib.nix else import nixpkgs;
  names = [ "bash" "coreutils" "curl" "findutils" "git" "gnugrep" "gnused" "haproxy" "hydra" "postgresql" "python3" ];
  pkgs = import ./pkgs.nix { inherit names; };
  evaluated = lib.evalModules {
    modules = [ ./options.nix ] ++ modules;
    specialArgs = { inherit lib pkgs; modulesPath = ./.; };
  };
in
evaluated.config
