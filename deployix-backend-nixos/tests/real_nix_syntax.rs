//! What the printer writes, real Nix reads back unchanged.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_backend_nixos::syntax::{
    Attrs, Expr, Operator, Param, Part, print, print_with_comment,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::nix::evaluate;

/// Pieces that Nix, the shell or systemd treat specially, in any order and next to each other.
fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "$", "${", "}", "$$", "$${", "''", "'", "'''", "''$", "''${", "''\\", "\\", "\\n", "\\$", "\"", "\n", "\n\n",
            "\r", "\r\n", "\t", " ", "  ", "    ", "$(reboot)", "`id`", "# no comment", "/*", "*/", ";", "{", "a", "x\n",
            "é", "\u{1F980}", "\u{2028}", "\u{FEFF}", "\u{1}", "\u{1b}[31m", "\u{7f}", "\u{85}", "<nixpkgs>", "./a",
            "http://x", "%n", "or", "\n  ", "\n\t",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_filter("NUL", |c| *c != '\0').prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn assert_parses_with_rnix(text: &str) {
    let errors = rnix::Root::parse(text).errors().to_vec();
    assert!(errors.is_empty(), "{errors:?} in:\n{text}");
}

fn read_back(expr: &Expr) -> Value {
    let text = print(expr).expect("prints");
    assert_parses_with_rnix(&text);
    evaluate(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives_as_a_value_and_as_a_key(texts in prop::collection::vec(hostile_text(), 100)) {
        let list = Expr::from(texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(read_back(&list), json!(texts));

        let keyed: Attrs = texts.iter().map(|text| (text.as_str(), text.as_str())).collect();
        let nested = Attrs::new().with(["deeply", "nested", "or"], keyed);
        let expected: serde_json::Map<String, Value> =
            texts.iter().map(|text| (text.clone(), json!(text))).collect();
        prop_assert_eq!(read_back(&nested.into()), json!({ "deeply": { "nested": { "or": expected } } }));
    }

    #[test]
    fn text_around_interpolations_survives(
        strings in prop::collection::vec(prop::collection::vec((hostile_text(), any::<bool>()), 1..6), 40)
    ) {
        let mut expected = Vec::new();
        let mut printed = Vec::new();
        for pieces in &strings {
            let mut text = String::new();
            let mut parts = Vec::new();
            for (piece, interpolate) in pieces {
                text.push_str(piece);
                parts.push(match interpolate {
                    true => Part::Value(Expr::from(Attrs::new().with(["a b"], piece.as_str())).select(["a b"])),
                    false => Part::Text(piece.clone()),
                });
            }
            expected.push(text);
            printed.push(Expr::Str(parts));
        }
        prop_assert_eq!(read_back(&Expr::List(printed)), json!(expected));
    }

    #[test]
    fn any_integer_survives(numbers in prop::collection::vec(any::<i64>(), 50)) {
        let list = Expr::from(numbers.clone());
        prop_assert_eq!(read_back(&list), json!(numbers));
    }

    #[test]
    fn any_normal_float_survives(numbers in prop::collection::vec(prop::num::f64::NORMAL, 50)) {
        // Nix prints six digits only, so the comparison happens inside Nix.
        let pairs: Vec<Expr> = numbers
            .iter()
            .map(|number| Expr::from([*number, -*number]))
            .collect();
        let text = print(&Expr::List(pairs)).expect("prints");
        assert_parses_with_rnix(&text);
        let expected = serde_json::to_string(
            &numbers.iter().map(|number| [*number, -*number]).collect::<Vec<_>>(),
        ).expect("JSON");
        let comparison = format!("builtins.fromJSON {} == ({text})", print(&expected.into()).expect("prints"));
        prop_assert_eq!(evaluate(&comparison), Ok(json!(true)), "{}", text);
    }
}

#[test]
fn a_text_of_100_kilobytes_survives() {
    let line = "export KEY=\"${value}\" '' $$ \\ é\n";
    let text = line.repeat(100_000 / line.len() + 1);
    assert!(text.len() > 100_000);
    assert_eq!(read_back(&text.as_str().into()), json!(text));
    let flat = text.replace('\n', "\r");
    assert_eq!(read_back(&flat.as_str().into()), json!(flat));
}

#[test]
fn the_smallest_integer_and_negative_numbers_survive_in_every_place() {
    let expr = Attrs::new()
        .with(["min"], i64::MIN)
        .with(["list"], [i64::MIN, -1, 0, i64::MAX])
        .with(["applied"], Expr::var("builtins").select(["toString"]).apply(-5_i64))
        .with(["sum"], Expr::Int(-1).then(Operator::Add, -2_i64));
    assert_eq!(
        read_back(&expr.into()),
        json!({ "min": i64::MIN, "list": [i64::MIN, -1, 0, i64::MAX], "applied": "-5", "sum": -3 })
    );
}

#[test]
fn json_becomes_the_same_value_and_integers_over_64_bits_are_refused() {
    let value = json!({ "a": [1, -2.5, null, true, "x\ny"], "if": { "b c": {} } });
    assert_eq!(read_back(&Expr::from_json(&value).expect("fits")), value);
    assert_eq!(Expr::from_json(&json!([u64::MAX])), None);
}

#[test]
fn functions_operators_and_selections_keep_their_grouping() {
    let double = Expr::Lambda(
        Param::Name("x".into()),
        Box::new(Expr::var("x").then(Operator::Concat, Expr::var("x"))),
    );
    let module = Expr::from(Attrs::new().with(["got"], Expr::var("given").select(["in here"])))
        .module(["given"]);
    let argument = Attrs::new().with(["given", "in here"], 7_i64).with(["other"], Expr::Null);
    let expr = Attrs::new()
        .with(["doubled"], double.clone().apply(double.apply([1_i64])))
        .with(["module"], module.apply(argument))
        .with(
            ["right"],
            Expr::var("builtins")
                .select(["head"])
                .apply(Expr::List(vec![Expr::var("builtins").select(["toString"]).apply(3_i64)])),
        )
        .with(
            ["updated"],
            Expr::from(Attrs::new().with(["a"], 1_i64).with(["b"], 1_i64))
                .then(Operator::Update, Attrs::new().with(["b"], 2_i64)),
        )
        .with(
            ["let"],
            Expr::Let(Attrs::new().with(["y"], 4_i64), Box::new(Expr::from(vec![Expr::var("y")]))),
        )
        .with(
            ["with"],
            Expr::List(vec![Expr::With(
                Box::new(Attrs::new().with(["z"], 5_i64).into()),
                Box::new(Expr::var("z")),
            )]),
        )
        .with(
            ["recursive"],
            Attrs::new().with(["p"], 6_i64).with(["q"], Expr::var("p")).recursive(),
        )
        .with(["number"], Expr::List(vec![Expr::Bool(true), Expr::Float(1.5)]));
    assert_eq!(
        read_back(&expr.into()),
        json!({
            "doubled": [1, 1, 1, 1], "module": { "got": 7 }, "right": "3", "updated": { "a": 1, "b": 2 },
            "let": [4], "with": [5], "recursive": { "p": 6, "q": 6 }, "number": [true, 1.5],
        })
    );
}

#[test]
fn paths_name_the_file_beside_the_module_whatever_it_is_called() {
    let paths = ["hydra.conf", "a-b/c+d_e.f", "with space", "${x}/''", "ünï"];
    let expr = Expr::from(
        paths
            .iter()
            .map(|path| {
                Expr::var("builtins").select(["toString"]).apply(Expr::Path((*path).to_owned()))
            })
            .collect::<Vec<_>>(),
    );
    let read = read_back(&expr);
    let folder = std::env::current_dir().expect("folder");
    let expected: Vec<_> = paths.iter().map(|path| folder.join(path)).collect();
    assert_eq!(read, json!(expected));
}

#[test]
fn a_comment_cannot_become_code() {
    let text =
        print_with_comment("hydra\n{ evil = true; }\rbuiltins.abort \"no\"\0", &Expr::Bool(true))
            .expect("prints");
    assert_parses_with_rnix(&text);
    assert_eq!(evaluate(&text), Ok(json!(true)));
}
