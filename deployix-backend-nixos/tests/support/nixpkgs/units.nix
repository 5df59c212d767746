# The texts of unit files, as NixOS writes them from these options (nixpkgs, nixos/lib/systemd-lib.nix).
config:
let
  inherit (builtins) attrNames concatMap concatStringsSep foldl' isBool isList listToAttrs toJSON;

  value = v: if isBool v then (if v then "true" else "false") else toString v;
  section = name: settings:
    "[${name}]\n" + concatStringsSep "" (concatMap
      (key: map (v: "${key}=${value v}\n") (if isList settings.${key} then settings.${key} else [ settings.${key} ]))
      (attrNames settings));

  relations = { Description = "description"; After = "after"; PartOf = "partOf"; Requires = "requires"; Wants = "wants"; X-Restart-Triggers = "restartTriggers"; };
  unit = u: section "Unit" (foldl'
    (settings: key:
      let given = u.${relations.${key}} or [ ];
      in if given == [ ] || given == "" then settings else settings // { ${key} = toString given; })
    (u.unitConfig // (if u ? startLimitIntervalSec then { StartLimitIntervalSec = u.startLimitIntervalSec; } else { }))
    (attrNames relations));

  # What switching to a system reads (nixpkgs, nixos/modules/system/boot/systemd.nix and systemd-lib.nix).
  changes = u:
    (if u.reloadIfChanged or false then { X-ReloadIfChanged = true; }
    else if !(u.restartIfChanged or true) then { X-RestartIfChanged = false; }
    else { })
    // (if u.stopIfChanged or true then { } else { X-StopIfChanged = false; });

  service = u: unit u + section "Service" (u.serviceConfig // changes u)
    + concatStringsSep "" (map (name: "Environment=${toJSON "${name}=${u.environment.${name}}"}\n") (attrNames u.environment));
  socket = u: unit u + section "Socket" (u.socketConfig // { ListenStream = u.listenStreams; ListenDatagram = u.listenDatagrams; });
  timer = u: unit u + section "Timer" u.timerConfig;

  files = suffix: text: units: map (name: { name = "${name}.${suffix}"; value = text units.${name}; }) (attrNames units);
in
listToAttrs (
  files "service" service config.systemd.services
  ++ files "socket" socket config.systemd.sockets
  ++ files "target" unit config.systemd.targets
  ++ files "timer" timer config.systemd.timers
)
