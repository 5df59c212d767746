# Evaluates modules against the declared options, with nixpkgs' own `lib` where its folder is given.
{ modules, nixpkgs ? null }:
let
  lib = if nixpkgs == null then import ./nixpkgs/lib.nix else import nixpkgs;
  pkgs = import ./nixpkgs/pkgs.nix { };
  evaluate = modules: (lib.evalModules {
    modules = [ ./nixpkgs/options.nix ] ++ modules;
    specialArgs = { inherit lib pkgs; modulesPath = ./nixpkgs; };
  }).config;
  # NixOS makes units of modular services and evaluates them with all others.
  modular = import ./nixpkgs/modular.nix { inherit lib; } (evaluate modules).system.services;
  config = evaluate (modules ++ modular);
in
# What a modular service's own options are is seen in its units.
config // { system = removeAttrs config.system [ "services" ]; }
