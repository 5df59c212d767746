//! Tags that people wish for their machines.

use std::collections::BTreeMap;

use deployix_core::backend::Remark;

/// AWS takes 50 tags on a thing; seven are this backend's own, and one more while a machine changes (Amazon
/// EC2 User Guide, "Tag restrictions").
const LIMIT: usize = 50 - 7 - 1;

/// What AWS would refuse, and what this backend keeps for itself.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Vec<Remark> {
    let mut reasons = Vec::new();
    let mut wrong = |key: &str, message: String, remedy: &str| {
        reasons.push(Remark::new(["extensions", "ec2", "tags", key], message).remedy(remedy));
    };
    if tags.len() > LIMIT {
        let message =
            format!("there are {} tags, and AWS takes {LIMIT} beside our own", tags.len());
        wrong("", message, "leave some out");
    }
    for (key, value) in tags {
        let shown: String = key.chars().take(40).collect();
        if key.is_empty() || key.chars().count() > 128 {
            wrong(key, format!("tag {shown:?}: a key has 1 to 128 characters"), "shorten it");
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            wrong(key, format!("tag {shown:?}: AWS keeps `aws:` for itself"), "choose another key");
        }
        if key == "Name" || key.starts_with("deployix:") {
            let message = format!("tag {shown:?} is one of our own");
            wrong(key, message, "choose another key");
        }
        if value.chars().count() > 256 {
            let message = format!("tag {shown:?}: a value has at most 256 characters");
            wrong(key, message, "shorten the value");
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tags: &[(&str, &str)]) -> usize {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        check(&tags.iter().map(owned).collect()).len()
    }

    #[test]
    fn tags_that_aws_would_refuse_are_refused() {
        assert_eq!(count(&[("team", "web")]), 0);
        let (long, longer) = ("k".repeat(129), "v".repeat(257));
        for bad in [("", ""), ("aws:x", ""), ("AWS:x", ""), ("Name", ""), ("deployix:x", "")] {
            assert_eq!(count(&[bad]), 1, "{bad:?}");
        }
        assert_eq!(count(&[(&long, "")]), 1);
        assert_eq!(count(&[("k", &longer)]), 1);
        let many: BTreeMap<_, _> = (0..48).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(check(&many).len(), 1);
    }
}
