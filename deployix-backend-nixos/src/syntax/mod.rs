//! A typed Nix expression tree and the one printer that turns it into text.
//!
//! Everything this crate emits in Nix goes through [`print()`], so escaping is decided in one place.
//! The printed text reads back to the same value under `nix-instantiate`, whatever the strings,
//! keys and numbers are; what Nix cannot express (a NUL character, an infinite float) is refused
//! with the attribute path where it stands, never altered.
//!
//! ```
//! use deployix_backend_nixos::syntax::{Attrs, Expr, print};
//!
//! let module = Expr::from(
//!     Attrs::new()
//!         .with(["networking", "hostName"], "rack1")
//!         .with(["environment", "etc", "motd", "text"], "costs ${5}"),
//! );
//! let text = print(&module)?;
//! assert_eq!(
//!     text,
//!     concat!(
//!         "{\n",
//!         "  environment.etc.motd.text = \"costs \\${5}\";\n",
//!         "  networking.hostName = \"rack1\";\n",
//!         "}\n",
//!     )
//! );
//! # Ok::<(), deployix_backend_nixos::syntax::PrintError>(())
//! ```

mod check;
mod expr;
mod layout;
mod scalar;
mod string;

pub use check::{PrintError, Problem};
pub use expr::{Attrs, Expr, Operator, Param, Part};

/// Prints an expression as the text of a Nix file, ending in a newline.
///
/// # Errors
///
/// [`PrintError`] names the first thing that has no Nix form, and the attribute path that leads to
/// it.
pub fn print(expr: &Expr) -> Result<String, PrintError> {
    check::check(expr)?;
    let mut text = layout::lay_out(expr);
    text.push('\n');
    Ok(text)
}

/// Prints an expression below a comment that says what the file is.
///
/// # Errors
///
/// As [`print()`].
pub fn print_with_comment(comment: &str, expr: &Expr) -> Result<String, PrintError> {
    let body = print(expr)?;
    let mut text = String::with_capacity(comment.len() + body.len() + 16);
    // Nix ends a comment at CR as well as at LF; both start a new comment line here.
    for line in comment.split(['\n', '\r']) {
        let line: String = line.chars().filter(|c| *c != '\0').collect();
        text.push_str(if line.is_empty() { "#" } else { "# " });
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&body);
    Ok(text)
}
