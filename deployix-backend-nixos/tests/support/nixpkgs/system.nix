# `nixpkgs.lib.nixosSystem`: a configuration and what it comes to, a system that can be switched to.
{ modules, specialArgs ? { } }:
let
  inherit (builtins) attrValues concatMap concatStringsSep listToAttrs mapAttrs attrNames toJSON;

  lib = import ./lib.nix;
  pkgs = import ./derivations.nix { system = config.nixpkgs.hostPlatform; };
  evaluate = modules: lib.evalModules {
    modules = [ ./options.nix ] ++ modules;
    specialArgs = { inherit lib pkgs; modulesPath = ./.; } // specialArgs;
  };
  # NixOS makes units of modular services and evaluates them with all others.
  modular = import ./modular.nix { inherit lib; } (evaluate modules).config.system.services;
  evaluated = evaluate (modules ++ modular);

  services = evaluated.config.systemd.services // import ./nftables.nix { inherit (evaluated) config; inherit pkgs; };
  systemd = evaluated.config.systemd // { inherit services; };
  kinds = { service = services; socket = systemd.sockets; target = systemd.targets; timer = systemd.timers; };
  wantedBy = listToAttrs (concatMap
    (kind: map (name: { name = "${name}.${kind}"; value = kinds.${kind}.${name}.wantedBy; }) (attrNames kinds.${kind}))
    (attrNames kinds));
  units = mapAttrs
    (name: text: {
      inherit text;
      enable = true;
      aliases = [ ];
      requiredBy = [ ];
      wantedBy = wantedBy.${name};
    })
    (import ./units.nix { inherit systemd; });

  # The machine's own names come first (nixpkgs, nixos/modules/config/networking.nix).
  hosts = ''
    127.0.0.1 localhost
    ::1 localhost
    127.0.0.2 ${evaluated.config.networking.hostName}
    ${concatStringsSep "\n" (map
      (address: "${address} ${toString evaluated.config.networking.hosts.${address}}")
      (attrNames evaluated.config.networking.hosts))}
    ${evaluated.config.networking.extraHosts}
  '';

  toplevel = pkgs.runCommand "nixos-system-${evaluated.config.networking.hostName}"
    {
      passAsFile = [ "contents" ];
      contents = toJSON {
        units = mapAttrs (name: unit: { file = pkgs.writeText name unit.text; inherit (unit) wantedBy; }) units;
        etc = mapAttrs (_: entry: "${entry.source}") evaluated.config.environment.etc // {
          hosts = pkgs.writeText "hosts" hosts;
          "tmpfiles.d/00-nixos.conf" =
            pkgs.writeText "00-nixos.conf" (concatStringsSep "" (map (rule: rule + "\n") systemd.tmpfiles.rules));
        };
        inherit (evaluated.config.users) users groups;
      };
    } "python3 ${./system.py} \"$contentsPath\" ${./activate.py} ${./switch-to-configuration.py} \"$out\"";

  config = evaluated.config // {
    systemd = systemd // { inherit units; };
    system = evaluated.config.system // { build = { inherit toplevel; }; };
  };
in
{ inherit config pkgs; }
