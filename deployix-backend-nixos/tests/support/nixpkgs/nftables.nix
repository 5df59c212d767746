# The packet filter of NixOS (nixpkgs, nixos/modules/services/networking/firewall-nftables.nix and nftables.nix): a
# service that loads it, and loads it again when it changes.
{ config, pkgs }:
let
  inherit (config.networking) firewall nftables;
  filter = {
    family = "inet";
    content = ''
      chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state vmap { invalid : drop, established : accept, related : accept, new : jump input-allow, untracked : jump input-allow }
      }
      chain input-allow {
        tcp dport 22 accept
        icmp type echo-request accept
        ${firewall.extraInputRules}
      }
    '';
  };
  tables = nftables.tables // (if firewall.enable then { nixos-fw = filter; } else { });
  file = pkgs.writeText "nftables.conf" (builtins.concatStringsSep "" (map
    (name: ''
      table ${tables.${name}.family} ${name}
      delete table ${tables.${name}.family} ${name}
      table ${tables.${name}.family} ${name} {
        ${tables.${name}.content}
      }
    '')
    (builtins.attrNames tables)));
in
if !nftables.enable then { } else {
  nftables = {
    description = "nftables firewall";
    wantedBy = [ "multi-user.target" ];
    reloadIfChanged = true;
    unitConfig = { };
    environment = { };
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/usr/sbin/nft -f ${file}";
      ExecReload = "/usr/sbin/nft -f ${file}";
      ExecStop = "/usr/sbin/nft flush ruleset";
    };
  };
}
