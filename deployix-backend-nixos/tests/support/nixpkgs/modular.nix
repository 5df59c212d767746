# The units that NixOS makes of modular services, as two modules: what it chooses by itself, and what the services say
# (nixpkgs, nixos/modules/system/service/systemd/{service,system}.nix).
{ lib }:
services:
let
  inherit (builtins) attrNames concatMap concatStringsSep listToAttrs replaceStrings toJSON;

  escape = word: replaceStrings [ "%" "$" ] [ "%%" "$$" ] (toJSON "${word}");
  dash = before: after: if after == "" then before else "${before}-${after}";

  units = kind: prefix: service:
    map (name: { name = dash prefix name; value = { imports = [ service.systemd.${kind}.${name} ]; }; })
      (attrNames service.systemd.${kind})
    ++ inner (units kind) prefix service;
  # Its own unit has defaults, unless it has none.
  defaults = prefix: service:
    (if service.systemd.services ? "" then [ { name = prefix; value = default service; } ] else [ ])
    ++ inner defaults prefix service;
  default = service: {
    wantedBy = lib.mkDefault [ "multi-user.target" ];
    serviceConfig = {
      Type = lib.mkDefault "simple";
      Restart = lib.mkDefault "always";
      RestartSec = lib.mkDefault "5";
      ExecStart = [ (concatStringsSep " " (map escape service.process.argv)) ];
    };
  };
  inner = f: prefix: service: concatMap (name: f (dash prefix name) service.services.${name}) (attrNames service.services);

  each = f: listToAttrs (concatMap (name: f name services.${name}) (attrNames services));
  called = f: prefix: service: map (unit: unit // { value = { ... }: unit.value; }) (f prefix service);
in
[
  { systemd.services = each (called defaults); }
  { systemd.services = each (called (units "services")); systemd.sockets = each (called (units "sockets")); }
]
