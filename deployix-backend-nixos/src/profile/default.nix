# Makes one functionality a profile of its own: what its module sets, and nothing else of a system.
#
# The texts of its units are those that NixOS makes of the module on a machine that has nothing else.
{ deployment, ids ? { }, module, name, nixpkgs, stateVersion, system }:
let
  inherit (builtins) attrNames concatMap concatStringsSep elem map match readFile replaceStrings toJSON;

  pkgs = nixpkgs.legacyPackages.${system};
  machine = nixpkgs.lib.nixosSystem {
    modules = [ module { nixpkgs.hostPlatform = system; system.stateVersion = stateVersion; } ];
  };
  own = import module { inherit pkgs; inherit (nixpkgs) lib; };

  # What `lib.mkDefault` and its kin wrap: nothing here is defined twice.
  plain = value: if value._type or "" == "override" then value.content else value;
  lines = concatMap (line: [ "${line}\n" ]);
  file = title: texts: pkgs.writeText "${name}-${title}" (concatStringsSep "" texts);
  quote = text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
  oneLine = text: if match "[^\n]*" text == null then throw "${toJSON text}: a path of several lines" else text;

  users = own.users.users or { };
  id = user: toString (ids.${user} or (plain users.${user}.uid));
  hosts = own.networking.hosts or { };
  rules = own.networking.firewall.extraInputRules or "";
  etc = own.environment.etc or { };

  # What has to be on the machine before a service starts.
  preparation = pkgs.runCommand "${name}-preparation" { } ''
    mkdir "$out"
    ln -s ${file "prepare.sh" [ (readFile ./prepare.sh) ]} "$out/prepare.sh"
    ln -s ${file "name" (lines [ name ])} "$out/name"
    ln -s ${file "sysusers.conf" (concatMap
      (user: lines [ "g ${user} ${id user}" "u ${user} ${id user}:${id user} - /var/empty" ])
      (attrNames users))} "$out/sysusers.conf"
    ln -s ${file "tmpfiles.conf" (lines (own.systemd.tmpfiles.rules or [ ]))} "$out/tmpfiles.conf"
    ln -s ${file "hosts" (lines (map (address: "${address} ${toString hosts.${address}}") (attrNames hosts)))} "$out/hosts"
  '';
  prepare = {
    name = "deployix-prepare-${name}.service";
    wantedBy = [ "multi-user.target" ];
    text = ''
      [Unit]
      Description=What ${name} needs of its machine
      StartLimitIntervalSec=0
      [Service]
      Type=oneshot
      ExecStart=/bin/sh ${preparation}/prepare.sh ${preparation} ${toString services}
      Restart=on-failure
      RestartMode=direct
      RestartSec=2s
    '';
  };
  services = map (unit: "${unit}.service") (attrNames (own.systemd.services or { }));
  # NixOS's own /etc/hosts is part of its system and cannot be added to, and nscd would answer from that one.
  service = ''
    [Unit]
    Requires=${prepare.name}
    After=${prepare.name}
    ${if hosts == { } then "" else ''
      [Service]
      BindReadOnlyPaths=/run/deployix-hosts/${name}:/etc/hosts
      InaccessiblePaths=-/run/nscd
    ''}
  '';

  kinds = { services = "service"; sockets = "socket"; targets = "target"; timers = "timer"; };
  units = concatMap
    (kind: map
      (unit:
        let made = machine.config.systemd.units."${unit}.${kinds.${kind}}"; in {
          name = "${unit}.${kinds.${kind}}";
          text = (if kind == "services" then service else "") + made.text;
          # What a socket is wanted by in a system may not be there next to somebody else's.
          wantedBy = made.wantedBy
            ++ (if kind == "sockets" && !elem "sockets.target" made.wantedBy then [ "sockets.target" ] else [ ]);
        })
      (attrNames (own.systemd.${kind} or { })))
    (attrNames kinds);

  filter = {
    name = "deployix-firewall-${name}.service";
    wantedBy = [ "multi-user.target" "nftables.service" ];
    text = ''
      [Unit]
      Description=Who reaches ${name}
      After=nftables.service
      PartOf=nftables.service
      ReloadPropagatedFrom=nftables.service
      [Service]
      Type=oneshot
      RemainAfterExit=true
      ExecCondition=/bin/sh ${firewall} is-there ${name}
      ExecStart=/bin/sh ${firewall} open ${name} ${file "rules.nft" [ rules ]}
      ExecReload=/bin/sh ${firewall} open ${name} ${file "rules.nft" [ rules ]}
      ExecStop=/bin/sh ${firewall} close ${name}
    '';
  };
  firewall = file "firewall.sh" [ (readFile ./firewall.sh) ];

  placed = unit: ''
    ln -s ${file "unit" [ unit.text ]} "$out/units/${unit.name}"
    ${concatStringsSep "" (map (target: ''
      mkdir -p "$out/units/${target}.wants"
      ln -s "../${unit.name}" "$out/units/${target}.wants/${unit.name}"
    '') unit.wantedBy)}
  '';
  linked = path: ''
    mkdir -p "$(dirname "$out/etc/"${quote (oneLine path)})"
    ln -s ${quote "${etc.${path}.source}"} "$out/etc/"${quote path}
  '';
in
pkgs.runCommand "deployix-${name}" { } ''
  mkdir -p "$out/bin" "$out/units" "$out/etc"
  ln -s ${file "name" (lines [ "${deployment}/${name}" ])} "$out/name"
  ln -s ${preparation} "$out/preparation"
  cp ${file "activate" [ (readFile ./activate.sh) ]} "$out/bin/activate"
  cp ${file "activate" [ (readFile ./activate.sh) ]} "$out/bin/deactivate"
  chmod 555 "$out/bin/activate" "$out/bin/deactivate"
  ${concatStringsSep "" (map placed (units ++ [ prepare ] ++ (if rules == "" then [ ] else [ filter ])))}
  ${concatStringsSep "" (map linked (attrNames etc))}
''
