# The options of NixOS that the generated modules set, with the types that nixpkgs declares for them.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  unitName = types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](service|socket|target|timer)";
  units = mkOption { type = types.listOf unitName; default = [ ]; };
  atom = types.oneOf [ types.bool types.int types.str types.path types.package ];
  unitOptions = types.attrsOf (types.oneOf [ atom (types.listOf atom) ]);
  settings = mkOption { type = unitOptions; default = { }; };
  text = mkOption { type = types.str; default = ""; };
  flag = mkOption { type = types.bool; default = false; };
  setOf = options: mkOption { type = types.attrsOf (types.submodule { inherit options; }); default = { }; };
  strings = mkOption { type = types.listOf types.str; default = [ ]; };

  common = {
    description = mkOption { type = types.singleLineStr; default = ""; };
    after = units;
    before = units;
    partOf = units;
    requires = units;
    wantedBy = units;
    wants = units;
    unitConfig = settings;
  };
  # A modular service: nixos/modules/system/service/portable/service.nix and systemd/service.nix of nixpkgs.
  # Unless it says otherwise it has a unit of its own.
  deferred = default: mkOption { type = types.lazyAttrsOf types.deferredModule; inherit default; };
  modular = {
    process.argv = mkOption { type = types.listOf (types.oneOf [ types.str types.path types.package ]); };
    services = setOf modular;
    systemd = { services = deferred { "" = { }; }; sockets = deferred { }; };
  };
  id = mkOption { type = types.nullOr types.int; default = null; };

  authentication = setOf {
    auth = text;
    cacerts = strings;
    certs = strings;
    id = text;
  };
  seconds = mkOption { type = types.strMatching "[0-9]+[smhd]?"; default = "0s"; };
  action = values: mkOption { type = types.enum values; default = builtins.head values; };
in
{
  options = {
    environment.etc = setOf { source = mkOption { type = types.path; }; };
    networking = {
      extraHosts = mkOption { type = types.lines; default = ""; };
      hostName = mkOption { type = types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$"; default = "nixos"; };
      hosts = mkOption { type = types.attrsOf (types.listOf types.str); default = { }; };
      firewall.enable = flag;
      firewall.extraInputRules = mkOption { type = types.lines; default = ""; };
      nftables.enable = flag;
      nftables.tables = setOf {
        content = mkOption { type = types.lines; };
        family = mkOption { type = types.enum [ "ip" "ip6" "inet" ]; };
      };
    };
    nixpkgs.hostPlatform = text;
    services.strongswan-swanctl = {
      enable = flag;
      swanctl.connections = setOf {
        children = setOf {
          close_action = action [ "none" "trap" "start" ];
          dpd_action = action [ "clear" "trap" "restart" ];
          esp_proposals = strings;
          mode = mkOption { type = types.enum [ "tunnel" "transport" ]; };
          start_action = action [ "none" "trap" "start" ];
        };
        dpd_delay = seconds;
        keyingtries = mkOption { type = types.int; default = 1; };
        local = authentication;
        local_addrs = strings;
        mobike = flag;
        proposals = strings;
        remote = authentication;
        remote_addrs = strings;
        version = mkOption { type = types.int; default = 0; };
      };
    };
    system.services = setOf modular;
    system.stateVersion = text;
    systemd = {
      services = setOf (common // {
        environment = mkOption { type = types.attrsOf (types.nullOr (types.oneOf [ types.str types.path types.package ])); default = { }; };
        restartIfChanged = mkOption { type = types.bool; default = true; };
        restartTriggers = mkOption { type = types.listOf types.package; default = [ ]; };
        serviceConfig = settings;
        startLimitIntervalSec = mkOption { type = types.int; default = 10; };
        stopIfChanged = mkOption { type = types.bool; default = true; };
      });
      sockets = setOf (common // { listenDatagrams = strings; listenStreams = strings; socketConfig = settings; });
      targets = setOf common;
      timers = setOf (common // { timerConfig = settings; });
      tmpfiles.rules = strings;
    };
    users = {
      groups = setOf { gid = id; };
      users = setOf {
        group = mkOption { type = types.strMatching "[a-z_][a-z0-9_-]{0,30}"; };
        isSystemUser = flag;
        uid = id;
      };
    };
  };
}
