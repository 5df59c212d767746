# The part of nixpkgs' `lib` that the generated modules and `options.nix` use, for tests without nixpkgs: enough of the
# module system to refuse unknown options, values of the wrong type and definitions that contradict each other.
let
  inherit (builtins)
    all any attrNames attrValues concatLists concatMap concatStringsSep elem elemAt filter foldl' hasAttr head isAttrs isBool
    isFunction isInt isList isPath isString length listToAttrs map match tail toJSON;

  show = path: concatStringsSep "." path;
  unique = foldl' (seen: item: if any (other: other == item) seen then seen else seen ++ [ item ]) [ ];

  # A definition is a value with its priority; the lowest number wins.
  define = value:
    if isAttrs value && value._type or null == "override" then
      { inherit (value) priority; value = value.content; }
    else
      { priority = 100; inherit value; };
  winners = definitions:
    let best = foldl' (least: d: if d.priority < least then d.priority else least) 9999 definitions;
    in map (d: d.value) (filter (d: d.priority == best) definitions);

  scalar = name: check: {
    inherit name check;
    merge = path: values:
      if length (unique values) == 1 then head values
      else throw "${show path}: definitions contradict each other: ${toJSON values}";
  };
  checked = type: path: values:
    let wrong = filter (value: !type.check value) values;
    in
    if wrong != [ ] then throw "${show path}: not of type ${type.name}: ${toJSON (head wrong)}"
    else type.merge path values;

  isOption = value: isAttrs value && value._type or null == "option";

  # Merges the definitions of one option; no definition gives its default.
  evalOption = path: option: values:
    let chosen = winners (map define values);
    in
    if chosen != [ ] then checked option.type path chosen
    else if option ? default then option.default
    else throw "${show path}: is used and not defined";

  # Merges sets of definitions along a tree of options.
  evalTree = path: options: sets:
    let
      unknown = filter (key: !hasAttr key options) (concatMap attrNames sets);
      valuesOf = key: concatMap (set: if hasAttr key set then [ set.${key} ] else [ ]) sets;
      eval = key:
        let at = path ++ [ key ]; in
        if isOption options.${key} then evalOption at options.${key} (valuesOf key)
        else evalTree at options.${key} (valuesOf key);
    in
    if unknown != [ ] then throw "${show (path ++ [ (head unknown) ])}: there is no such option"
    else listToAttrs (map (key: { name = key; value = eval key; }) (attrNames options));

  mergeOptions = left: right:
    left // listToAttrs (map
      (key: {
        name = key;
        value = if hasAttr key left && !isOption left.${key} then mergeOptions left.${key} right.${key} else right.${key};
      })
      (attrNames right));

  isModule = value: isAttrs value || isFunction value;
  # The sets of definitions that a module of a submodule has, imports first.
  flatten = module:
    if isFunction module then flatten (module { })
    else concatMap flatten (module.imports or [ ]) ++ [ (removeAttrs module [ "imports" "_file" ]) ];

  types = rec {
    str = scalar "string" isString;
    singleLineStr = scalar "single-line string" (v: isString v && match "[^\n\r]*" v != null);
    strMatching = pattern: scalar "string matching ${pattern}" (v: isString v && match pattern v != null);
    lines = { name = "lines"; check = isString; merge = _: concatStringsSep "\n"; };
    bool = scalar "boolean" isBool;
    int = scalar "integer" isInt;
    package = scalar "package" (v: isString v || isAttrs v && v ? outPath);
    path = scalar "path" (v: isPath v || package.check v && match "/.*" "${v}" != null);
    enum = values: scalar "one of ${toJSON values}" (v: any (other: other == v) values);
    nullOr = type: type // { check = v: v == null || type.check v; };
    oneOf = alternatives: scalar "one of several types" (v: any (type: type.check v) alternatives);
    listOf = type: {
      name = "list of ${type.name}";
      check = v: isList v && all type.check v;
      merge = _: concatLists;
    };
    attrsOf = type: {
      name = "attributes of ${type.name}";
      check = isAttrs;
      merge = path: sets:
        let
          keys = unique (concatMap attrNames sets);
          values = key: concatMap (set: if hasAttr key set then [ set.${key} ] else [ ]) sets;
        in
        listToAttrs (map (key: { name = key; value = checked type (path ++ [ key ]) (winners (map define (values key))); }) keys);
    };
    lazyAttrsOf = attrsOf;
    # Whole modules, to be imported somewhere else.
    deferredModule = { name = "module"; check = isModule; merge = _: modules: { imports = modules; }; };
    submodule = module: {
      name = "submodule";
      check = isModule;
      merge = path: modules: evalTree path module.options (concatMap flatten modules);
    };
  };
in
{
  inherit types;
  mkOption = option: option // { _type = "option"; };
  mkForce = content: { _type = "override"; priority = 50; inherit content; };
  mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
  makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);

  evalModules = { modules, specialArgs ? { } }:
    let
      call = module:
        let value = if isPath module || isString module then import module else module;
        in if isFunction value then value specialArgs else value;
      gather = module:
        let set = call module;
        in concatMap gather (set.imports or [ ]) ++ [ (set // { inherit module; }) ];
      all = concatMap gather modules;
      disabled = map toString (concatMap (set: set.disabledModules or [ ]) all);
      isDisabled = set: (isPath set.module || isString set.module) && elem (toString set.module) disabled;
      sets = map (set: removeAttrs set [ "module" ]) (filter (set: !isDisabled set) all);
      options = foldl' mergeOptions { } (map (set: set.options or { }) sets);
      strip = set: removeAttrs (set.config or set) [ "disabledModules" "imports" "options" "_file" ];
    in
    { config = evalTree [ ] options (map strip (filter (set: !(set ? options)) sets)); };
}
