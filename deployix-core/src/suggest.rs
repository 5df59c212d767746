//! The nearest match: what somebody probably meant.

/// Finds the known word nearest to the one written, if one is near enough to be meant.
///
/// ```
/// use deployix_core::suggest::nearest;
///
/// assert_eq!(nearest("upstream-host", ["fqdn", "upstream-hosts"]), Some("upstream-hosts"));
/// assert_eq!(nearest("colour", ["fqdn", "upstream-hosts"]), None);
/// ```
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ENOUGH: f64 = 0.7;
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(written, word), word))
        .filter(|(likeness, _)| *likeness >= ENOUGH)
        .max_by(|(a, left), (b, right)| a.total_cmp(b).then_with(|| right.cmp(left)))
        .map(|(_, word)| word)
}
