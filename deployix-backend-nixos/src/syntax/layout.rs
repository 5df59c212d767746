//! Lays a checked expression out: on one line where it fits, as a block where it does not.

use super::expr::{Attrs, Expr, Operator, Param};
use super::scalar::{float_text, int_text, is_path_literal, key_text};
use super::string::{indented, quoted, quoted_parts, suits_indented};

/// Columns that a line should stay within, as nixfmt has it.
const WIDTH: usize = 100;
const STEP: &str = "  ";

/// How tightly a place binds its expression; what binds less is put in parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    /// A whole value: anything can stand there.
    Loose,
    /// An operand.
    Operand,
    /// The function of an application.
    Function,
    /// A list element or an argument.
    Element,
    /// What something is selected from.
    Base,
}

/// Prints an expression at the left margin.
pub(super) fn lay_out(expr: &Expr) -> String {
    let mut out = String::new();
    block(&mut out, expr, Binding::Loose, 0);
    out
}

/// How tightly an expression holds together by itself.
fn strength(expr: &Expr) -> Binding {
    match expr {
        Expr::Int(value) if *value < 0 && *value != i64::MIN => Binding::Operand,
        Expr::Float(value) if value.is_sign_negative() => Binding::Operand,
        // A number as a base would take the point for its own.
        Expr::Int(_) | Expr::Float(_) | Expr::Path(_) | Expr::Select(..) => match expr {
            Expr::Path(path) if !is_path_literal(path) => Binding::Loose,
            _ => Binding::Element,
        },
        Expr::Null
        | Expr::Bool(_)
        | Expr::Str(_)
        | Expr::List(_)
        | Expr::Attrs(_)
        | Expr::Var(_) => Binding::Base,
        Expr::Apply(..) => Binding::Function,
        Expr::Lambda(..) | Expr::Let(..) | Expr::With(..) | Expr::Binary(..) => Binding::Loose,
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Concat => "++",
        Operator::Update => "//",
        Operator::Add => "+",
    }
}

fn param_text(param: &Param) -> String {
    match param {
        Param::Name(name) => name.clone(),
        Param::Set(names) => {
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.push("...");
            format!("{{ {} }}", names.join(", "))
        }
    }
}

/// Prints on one line, giving up (`false`) once the text is longer than `limit` or has to have
/// lines.
fn inline(out: &mut String, expr: &Expr, place: Binding, limit: usize) -> bool {
    if strength(expr) < place {
        out.push('(');
        let fits = inline(out, expr, Binding::Loose, limit);
        out.push(')');
        return fits && out.len() <= limit;
    }
    let fits = match expr {
        Expr::Str(parts) if suits_indented(parts) => false,
        Expr::Attrs(attrs) if !attrs.is_empty() => false,
        Expr::Let(..) => false,
        Expr::List(items) if items.is_empty() => {
            out.push_str("[ ]");
            true
        }
        Expr::List(items) => {
            out.push('[');
            let fits = items.iter().all(|item| {
                out.push(' ');
                inline(out, item, Binding::Element, limit)
            });
            out.push_str(" ]");
            fits
        }
        Expr::Select(base, keys) => {
            let fits = inline(out, base, Binding::Base, limit);
            push_keys(out, keys);
            fits
        }
        Expr::Apply(function, argument) => {
            inline(out, function, Binding::Function, limit) && {
                out.push(' ');
                inline(out, argument, Binding::Element, limit)
            }
        }
        Expr::Lambda(param, body) => {
            out.push_str(&param_text(param));
            out.push_str(": ");
            inline(out, body, Binding::Loose, limit)
        }
        Expr::With(scope, body) => {
            out.push_str("with ");
            inline(out, scope, Binding::Loose, limit) && {
                out.push_str("; ");
                inline(out, body, Binding::Loose, limit)
            }
        }
        Expr::Binary(operator, left, right) => {
            inline(out, left, Binding::Operand, limit) && {
                out.push_str(&format!(" {} ", symbol(*operator)));
                inline(out, right, Binding::Operand, limit)
            }
        }
        scalar => {
            out.push_str(&scalar_text(scalar));
            true
        }
    };
    fits && out.len() <= limit
}

/// Prints as many lines as it takes; the first continues the current one, the others stand at
/// `depth`.
fn block(out: &mut String, expr: &Expr, place: Binding, depth: usize) {
    let start = out.len();
    let used = start - out.rfind('\n').map_or(0, |newline| newline + 1);
    if inline(out, expr, place, start + WIDTH.saturating_sub(used)) {
        return;
    }
    out.truncate(start);
    if strength(expr) < place {
        out.push('(');
        block(out, expr, Binding::Loose, depth);
        out.push(')');
        return;
    }
    match expr {
        Expr::Str(parts) if suits_indented(parts) => {
            let text = indented(parts, &STEP.repeat(depth + 1), &STEP.repeat(depth), interpolated);
            out.push_str(&text);
        }
        Expr::List(items) => {
            out.push('[');
            for item in items {
                new_line(out, depth + 1);
                block(out, item, Binding::Element, depth + 1);
            }
            new_line(out, depth);
            out.push(']');
        }
        Expr::Attrs(attrs) => {
            out.push_str(if attrs.recursive { "rec {" } else { "{" });
            bindings(out, attrs, depth + 1);
            new_line(out, depth);
            out.push('}');
        }
        Expr::Select(base, keys) => {
            block(out, base, Binding::Base, depth);
            push_keys(out, keys);
        }
        Expr::Apply(function, argument) => {
            block(out, function, Binding::Function, depth);
            out.push(' ');
            block(out, argument, Binding::Element, depth);
        }
        Expr::Lambda(param, body) => {
            out.push_str(&param_text(param));
            out.push(':');
            match param {
                Param::Name(_) => out.push(' '),
                Param::Set(_) => new_line(out, depth),
            }
            block(out, body, Binding::Loose, depth);
        }
        Expr::Let(names, body) => {
            out.push_str("let");
            bindings(out, names, depth + 1);
            new_line(out, depth);
            out.push_str("in");
            new_line(out, depth);
            block(out, body, Binding::Loose, depth);
        }
        Expr::With(scope, body) => {
            out.push_str("with ");
            block(out, scope, Binding::Loose, depth);
            out.push(';');
            new_line(out, depth);
            block(out, body, Binding::Loose, depth);
        }
        Expr::Binary(operator, left, right) => {
            block(out, left, Binding::Operand, depth);
            new_line(out, depth);
            out.push_str(symbol(*operator));
            out.push(' ');
            block(out, right, Binding::Operand, depth);
        }
        scalar => out.push_str(&scalar_text(scalar)),
    }
}

/// Prints `key = value;` lines; a set with one attribute continues its key, as in `a.b.c = value;`.
fn bindings(out: &mut String, attrs: &Attrs, depth: usize) {
    for (key, mut value) in &attrs.entries {
        new_line(out, depth);
        out.push_str(&key_text(key));
        while let Expr::Attrs(inner) = value {
            let mut entries = inner.entries.iter();
            let (Some((key, only)), None, false) =
                (entries.next(), entries.next(), inner.recursive)
            else {
                break;
            };
            out.push('.');
            out.push_str(&key_text(key));
            value = only;
        }
        out.push_str(" =");
        if matches!(value, Expr::Lambda(Param::Set(_), _) | Expr::Let(..) | Expr::Binary(..)) {
            on_own_lines(out, value, depth + 1);
        } else {
            out.push(' ');
            block(out, value, Binding::Loose, depth);
        }
        out.push(';');
    }
}

/// Prints a value that starts on the next line, unless it fits on this one.
fn on_own_lines(out: &mut String, value: &Expr, depth: usize) {
    let start = out.len();
    let used = start - out.rfind('\n').map_or(0, |newline| newline + 1);
    out.push(' ');
    if !inline(out, value, Binding::Loose, start + WIDTH.saturating_sub(used)) {
        out.truncate(start);
        new_line(out, depth);
        block(out, value, Binding::Loose, depth);
    }
}

fn push_keys(out: &mut String, keys: &[String]) {
    for key in keys {
        out.push('.');
        out.push_str(&key_text(key));
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&STEP.repeat(depth));
}

/// Prints what stands in `${}`: on one line, however long that gets.
fn interpolated(expr: &Expr, out: &mut String) {
    let start = out.len();
    if !inline(out, expr, Binding::Loose, usize::MAX) {
        out.truncate(start);
        block(out, expr, Binding::Loose, 0);
    }
}

/// Prints what is never broken into lines.
fn scalar_text(expr: &Expr) -> String {
    match expr {
        Expr::Bool(true) => "true".to_owned(),
        Expr::Bool(false) => "false".to_owned(),
        Expr::Int(value) => int_text(*value),
        Expr::Float(value) => float_text(*value),
        Expr::Str(parts) => quoted_parts(parts, interpolated),
        Expr::Path(path) if is_path_literal(path) && path.starts_with("../") => path.clone(),
        Expr::Path(path) if is_path_literal(path) => format!("./{path}"),
        Expr::Path(path) => format!("./. + {}", quoted(&format!("/{path}"))),
        Expr::Var(name) => name.clone(),
        Expr::Attrs(attrs) if attrs.recursive => "rec { }".to_owned(),
        Expr::Attrs(_) => "{ }".to_owned(),
        _ => "null".to_owned(),
    }
}
