//! What `compile`, `assemble` and `change` have to hold.

use std::collections::BTreeMap;

use super::{Kit, sample};
use crate::{
    backend::{Change, Owner, Resource},
    diagnostic::Staged,
    plan::Compiled,
    spec::{Deployment, FunctionalitySpec, Lowered},
};

pub(super) fn check(kit: &Kit, failures: &mut Vec<String>) {
    let Some(deployment) = sample(kit, sample::usual()) else {
        failures.push("the kit's own samples cannot be built".to_owned());
        return;
    };
    let compiled = kit.compile(deployment);
    if compiled.diagnostics.has_errors() {
        failures.push(format!("a plain deployment is refused: {}", compiled.diagnostics));
        return;
    }
    whatever_order(kit, &compiled, failures);
    ids(kit, &compiled.value, failures);
    one_change(kit, &compiled.value, failures);
    hostile_strings(kit, failures);
    extensions(kit, failures);
}

fn sample(kit: &Kit, specs: Vec<FunctionalitySpec<Lowered>>) -> Option<Deployment> {
    sample::deployment(kit.backend.id(), specs)
}

/// Equal specs give equal results, whatever order they come in.
fn whatever_order(kit: &Kit, compiled: &Staged<Compiled>, failures: &mut Vec<String>) {
    let mut specs = sample::usual();
    specs.reverse();
    let Some(deployment) = sample(kit, specs) else { return };
    let again = kit.compile(deployment);
    if again.value.artifacts() != compiled.value.artifacts()
        || again.value.assembled() != compiled.value.assembled()
    {
        failures.push("the same specs in another order compile differently".to_owned());
    }
}

/// Ids start with the backend's own, and everything that comes before something exists.
fn ids(kit: &Kit, compiled: &Compiled, failures: &mut Vec<String>) {
    let id = kit.backend.id();
    let resources = compiled.resources();
    if resources.is_empty() {
        failures.push("a deployment compiles to no resource, so it could never be made".to_owned());
    }
    for resource in resources.values() {
        if resource.backend() != id.as_str() {
            failures.push(format!("the id {} does not start with `{id}/`", resource.id()));
        }
        for before in resource.after().iter().filter(|before| !resources.contains_key(*before)) {
            failures.push(format!("{} comes after {before}, which nobody makes", resource.id()));
        }
    }
    let parts = compiled.artifacts().values().chain(compiled.assembled().values());
    let count: usize = parts.map(|artifact| artifact.resources.len()).sum();
    if count < resources.len() {
        failures.push("there are more resources than were compiled".to_owned());
    }
}

/// One functionality changes: so do its own resources, and nobody else's.
fn one_change(kit: &Kit, before: &Compiled, failures: &mut Vec<String>) {
    let mut specs = sample::usual();
    let changed = sample::functionality("web", sample::service(8080).env("CHANGED", "1"), &["db"]);
    specs.splice(0..1, changed);
    let Some(deployment) = sample(kit, specs) else { return };
    let after = kit.compile(deployment);
    if after.diagnostics.has_errors() {
        failures.push(format!("a variable in `env` is refused: {}", after.diagnostics));
        return;
    }
    let mut touched = BTreeMap::new();
    for (id, to) in after.value.resources() {
        match before.resources().get(id) {
            Some(from) if from.digest() == to.digest() => {}
            Some(from) => {
                touched.insert(id, to.owner());
                repeatable(kit, from, to, failures);
            }
            None => {
                touched.insert(id, to.owner());
            }
        }
    }
    if touched.is_empty() {
        failures.push("a changed variable changes no resource".to_owned());
    }
    for (id, owner) in touched {
        let own = match owner {
            Owner::Functionality(name) => name.as_str() == "web",
            Owner::Edge { consumer, provider } => {
                consumer.as_str() == "web" || provider.as_str() == "web"
            }
            Owner::Target(_) | Owner::Network(_) => true,
        };
        if !own {
            failures.push(format!("a variable of `web` changes {id}, which belongs to {owner}"));
        }
    }
    for other in ["db", "left", "right"] {
        if before.artifacts().get(other) != after.value.artifacts().get(other) {
            failures.push(format!("a variable of `web` changes the artifact of `{other}`"));
        }
    }
}

/// Equal questions get equal answers, and a difference is not passed over.
fn repeatable(kit: &Kit, from: &Resource, to: &Resource, failures: &mut Vec<String>) {
    let change = kit.backend.change(from, to);
    if change != kit.backend.change(from, to) {
        failures.push(format!("`change` answers differently each time for {}", to.id()));
    }
    if change == Change::Keep && matches!(to.owner(), Owner::Functionality(_)) {
        failures.push(format!("`change` keeps {} though a variable of it changed", to.id()));
    }
}

/// Strings that break careless printers compile, or are refused; and always the same.
fn hostile_strings(kit: &Kit, failures: &mut Vec<String>) {
    const HOSTILE: [&str; 8] = [
        "quotes \" and ' and `",
        "${x} $x $$ $(id) %h %%",
        "''${x} '' ''' \\ \\n",
        "two\nlines\r\nand a tab\t.",
        "naïve ☃ \u{1F600} \u{202E}",
        "{{ x }} <% x %> # ; & | > <",
        "\u{1b}[31m \u{7f} \u{1}",
        " leading and trailing ",
    ];
    for text in HOSTILE {
        let value = crate::spec::Template::literal(text).to_string();
        let service = || sample::service(8080).env("HOSTILE", &value).file("/etc/hostile", &value);
        let compile = || {
            let spec = sample::functionality("web", service(), &[]);
            sample(kit, spec.into_iter().collect()).map(|deployment| kit.compile(deployment))
        };
        let (Some(first), Some(second)) = (compile(), compile()) else { continue };
        if first.value.artifacts() != second.value.artifacts() {
            failures.push(format!("{text:?} compiles differently each time"));
        }
        if !first.diagnostics.has_errors() && first.value.artifacts().is_empty() {
            failures.push(format!("{text:?} makes the functionality vanish without a word"));
        }
    }
}

/// Declared extensions have namespaces, and refuse what they do not know.
fn extensions(kit: &Kit, failures: &mut Vec<String>) {
    let nonsense = serde_json::json!({ "no-such-setting-anywhere": true });
    for decl in kit.backend.extension_decls() {
        if crate::name::Namespace::new(decl.namespace()).is_err() {
            failures.push(format!("{:?} is no namespace", decl.namespace()));
        }
        if decl.check(&nonsense).is_ok() {
            failures.push(format!(
                "extension `{}` on {} accepts settings that it does not know: \
                 use `deny_unknown_fields`",
                decl.namespace(),
                decl.site().as_str()
            ));
        }
    }
}
