# The texts of unit files, as NixOS writes them from these options (nixpkgs, nixos/lib/systemd-lib.nix).
config:
let
  inherit (builtins) attrNames concatMap concatStringsSep foldl' isBool isList listToAttrs toJSON;

  value = v: if isBool v then (if v then "true" else "false") else toString v;
  section = name: settings:
    "[${name}]\n" + concatStringsSep "" (concatMap
      (key: map (v: "${key}=${value v}\n") (if isList settings.${key} then settings.${key} else [ settings.${key} ]))
      (attrNames settings));

  relations = { Description = "description"; After = "after"; Before = "before"; PartOf = "partOf"; Requires = "requires"; Wants = "wants"; };
  unit = u: wanted u + section "Unit" (foldl'
    (settings: key:
      let given = u.${relations.${key}} or [ ];
      in if given == [ ] || given == "" then settings else settings // { ${key} = toString given; })
    (u.unitConfig
      // (if u ? startLimitIntervalSec then { StartLimitIntervalSec = u.startLimitIntervalSec; } else { })
      // (if u.restartTriggers or [ ] != [ ] then { X-Restart-Triggers = toString u.restartTriggers; } else { }))
    (attrNames relations));

  wanted = u: if u.wantedBy == [ ] then "" else "[Install]\nWantedBy=${toString u.wantedBy}\n\n";
  service = u: unit u + section "Service" u.serviceConfig
    + (if u.restartIfChanged or true then "" else "X-RestartIfChanged=false\n")
    + (if u.stopIfChanged or true then "" else "X-StopIfChanged=false\n")
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
