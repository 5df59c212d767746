//! Findings as people read them: what, where in which line, and what to do.

use std::fmt::Write;

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, Title,
};
use deployix::core::diagnostic::{Diagnostic, Diagnostics, Place, Severity};

use crate::plain::{plain, same_columns};

/// All findings, with colours.
pub(crate) fn render(findings: &Diagnostics) -> String {
    let renderer = Renderer::styled();
    let mut text = String::new();
    for finding in findings {
        let report = report(finding);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n", renderer.render(&report));
    }
    text
}

/// `1 error, 2 warnings`, or `no problems`.
pub(crate) fn summary(findings: &Diagnostics) -> String {
    let errors = findings.errors().count();
    let counts = [(errors, "error"), (findings.len() - errors, "warning")];
    let several = |count| if count == 1 { "" } else { "s" };
    let parts = counts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> =
        parts.map(|(count, what)| format!("{count} {what}{}", several(*count))).collect();
    if parts.is_empty() { "no problems".to_owned() } else { parts.join(", ") }
}

fn report(finding: &Diagnostic) -> Vec<Group<'_>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(plain(&finding.message)).id(finding.code.as_str());
    let mut main = located(title, finding.place.as_ref());
    if let Some(consequence) = finding.consequence() {
        main = main.element(Level::NOTE.message(plain(&consequence).into_owned()));
    }
    if let Some(remedy) = &finding.remedy {
        main = main.element(Level::HELP.message(plain(remedy)));
    }
    let related = finding.related.iter();
    let related =
        related.map(|(what, place)| located(Level::NOTE.secondary_title(plain(what)), Some(place)));
    std::iter::once(main).chain(related).collect()
}

/// A title with the line that it is about.
fn located<'a>(title: Title<'a>, place: Option<&'a Place>) -> Group<'a> {
    let Some(place) = place else { return Group::with_title(title) };
    let path = plain(&place.file);
    if place.excerpt.trim().is_empty() {
        let origin = Origin::path(path).line(place.line).char_column(place.column);
        return Group::with_title(title).element(origin);
    }
    let snippet = Snippet::source(same_columns(&place.excerpt)).path(path).line_start(place.line);
    title.element(snippet.annotation(annotation(place)))
}

fn annotation(place: &Place) -> Annotation<'static> {
    let shown = same_columns(&place.excerpt);
    let byte = |column: usize| shown.char_indices().nth(column).map_or(shown.len(), |(at, _)| at);
    let start = byte(place.column - 1);
    AnnotationKind::Primary.span(start..byte(place.column - 1 + place.length))
}
