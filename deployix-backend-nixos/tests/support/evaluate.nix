# Evaluates modules against the declared options, with nixpkgs' own `lib` where its folder is given.
{ modules, nixpkgs ? null }:
let
  lib = if nixpkgs == null then import ./nixpkgs/lib.nix else import nixpkgs;
  names = import ./nixpkgs/names.nix;
  pkgs = import ./nixpkgs/pkgs.nix { inherit names; };
  evaluated = lib.evalModules {
    modules = [ ./nixpkgs/options.nix ] ++ modules;
    specialArgs = { inherit lib pkgs; modulesPath = ./nixpkgs; };
  };
in
evaluated.config
