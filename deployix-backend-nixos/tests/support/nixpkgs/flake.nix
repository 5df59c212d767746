# Stands for nixpkgs on a machine without network: what the generated flakes use of it, made of the programs of that
# machine.
{
  description = "A stand-in for nixpkgs";
  outputs = _: {
    lib = import ./lib.nix // { nixosSystem = import ./system.nix; };
    legacyPackages.x86_64-linux = import ./derivations.nix { system = "x86_64-linux"; };
  };
}
