//! Parameter Store.

use deployix_backend_ec2::{
    engine::{
        call::{Answer, Query, Write},
        shape::Parameter,
    },
    request::PutParameter,
};

use super::{
    table::{Result, new_tags, put_tags, refuse},
    world::World,
};

impl World {
    /// Writes a value as somebody does who has the right to.
    pub(crate) fn write_by_hand(&mut self, name: &str, value: &str) {
        self.parameters.entry(name).unwrap().it.version += 1;
        self.values.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn put_parameter(&mut self, it: &PutParameter) -> Result<String> {
        let Some(value) = it.value.expose() else {
            return refuse("ValidationException", "no value");
        };
        if it.overwrite && !it.tags.is_empty() {
            return refuse("ValidationException", "tags and overwrite can't be used together");
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
        let named = it.name.starts_with('/') && it.name.chars().all(allowed);
        if !named || it.name.len() > 1011 || it.name.split('/').count() > 16 {
            return refuse("ValidationException", &it.name);
        }
        if value.is_empty() || value.len() > 8192 || value.contains("{{") {
            return refuse("ValidationException", "the value");
        }
        if it.kind != "SecureString" || it.description.len() > 1024 {
            return refuse("ValidationException", &it.kind);
        }
        let version = match self.parameters.entry(&it.name) {
            Some(_) if !it.overwrite => return refuse("ParameterAlreadyExists", &it.name),
            Some(entry) => {
                entry.it.version += 1;
                entry.it.version
            }
            None => {
                let tags = new_tags(&it.tags)?;
                let new = Parameter { name: it.name.clone(), version: 1, tags };
                self.parameters.add(&it.name, new, self.late);
                1
            }
        };
        self.values.insert(it.name.clone(), value.to_owned());
        Ok(version.to_string())
    }

    pub(super) fn describe_parameters(&mut self, query: &Query) -> Result<Answer> {
        let mut page = self.parameters.page(query, self.page)?;
        page.items.iter_mut().for_each(|it| it.tags.clear());
        Ok(Answer::Parameter(page))
    }

    pub(super) fn tags_of_parameter(&mut self, name: &str) -> Result<Answer> {
        let tags = self.parameters.get(name, "InvalidResourceId")?.it.tags.clone();
        Ok(Answer::Tags(vec![(name.to_owned(), tags)]))
    }

    pub(super) fn write_parameter(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::AddTagsToResource { resource_id, tags } => {
                put_tags(&mut self.parameters.get(resource_id, "InvalidResourceId")?.it.tags, tags)
            }
            Write::DeleteParameter { name } => {
                self.parameters.get(name, "ParameterNotFound")?;
                self.parameters.remove(name);
                self.values.remove(name);
                Ok(())
            }
            other => refuse("InvalidAction", other.operation()),
        }
    }
}
