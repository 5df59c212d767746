//! Making an instance's containers, and starting them in their order.

use std::collections::BTreeMap;

use bollard::{
    errors::Error,
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptionsBuilder, CreateImageOptionsBuilder},
};
use deployix_core::backend::{BackendError, ErrorKind};
use futures_util::StreamExt;

use super::{
    container,
    engine::{found, is_taken},
    instance::{Made, Roll},
    label::{self, Part},
    ready::{self, Failure},
    secrets, stand, volume,
};
use crate::{
    compose::{Restart, Service},
    instance::Member,
    namespace, naming,
};

/// How often a name that is taken is cleared.
const CLEAR_TRIES: usize = 20;
/// How long to wait for a container whose name is taken and that is not there yet.
const CLEAR_AFTER: std::time::Duration = std::time::Duration::from_millis(100);

impl Roll<'_> {
    /// Makes all containers that stay, starting none.
    pub(super) async fn create(&self, named: bool) -> Result<Made, Failure> {
        let namespace = self.create_namespace(named).await?;
        let mut programs = BTreeMap::new();
        for (name, member) in &self.instance.programs {
            let body = self.program(name, member, Part::Program, &namespace, &member.container);
            programs.insert(name.clone(), self.create_one(name, body).await?);
        }
        Ok(Made { namespace, programs })
    }

    async fn create_namespace(&self, named: bool) -> Result<String, BackendError> {
        let name = naming::namespace(self.name);
        let mut labels = self.labels(&name, Part::Namespace);
        let programs: Vec<_> = self.instance.programs.keys().collect();
        // Names and lists of them always serialize.
        for (key, value) in [
            (label::PROGRAMS, serde_json::to_string(&programs)),
            (label::NETWORKS, serde_json::to_string(&self.instance.networks)),
        ] {
            labels.insert(key.to_owned(), value.unwrap_or_default());
        }
        let service = &self.instance.namespace;
        let mut body = container::body(service, labels);
        let mut mounts = Vec::new();
        for (container, _) in self.with_secrets() {
            let secrets = self.secrets_volume(container);
            let labels = self.labels(container, Part::Secrets);
            volume::create(self.engine, &secrets, labels).await?;
            mounts.push(container::bare_volume(&secrets, &secrets::folder(container), false));
        }
        let host = body.host_config.get_or_insert_default();
        host.mounts.get_or_insert_default().extend(mounts);

        let mut networks = self.instance.networks.iter();
        let first = networks.next();
        let first = first.map(|(network, at)| (network, container::endpoint(at, named)));
        container::join_network(&mut body, first);
        let loads_rules = namespace::loads_rules(service);
        let id = match self.create_one(&name, body.clone()).await {
            // What only sleeps is of a ready image, which may not be here yet.
            Err(error) if !loads_rules && error.kind() == ErrorKind::NotFound => {
                self.pull(service.image.as_deref().unwrap_or_default()).await?;
                self.create_one(&name, body).await?
            }
            created => created?,
        };
        for (network, attachment) in networks {
            self.join(&id, network, attachment, named).await?;
        }
        for (container, member) in self.with_secrets() {
            self.values.write(self.engine, &id, container, member).await?;
        }
        Ok(id)
    }

    fn with_secrets(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.instance.programs.iter().filter(|(_, member)| !member.secrets.is_empty())
    }

    fn secrets_volume(&self, container: &str) -> String {
        self.on_engine(&format!("{container}_secrets"))
    }

    fn labels(&self, container: &str, part: Part) -> BTreeMap<String, String> {
        let mut labels = label::of(self.step, self.context);
        labels.insert(label::CONTAINER.to_owned(), container.to_owned());
        labels.insert(label::PART.to_owned(), part.as_str().to_owned());
        labels
    }

    /// What a program's container is made from, or that of its initializer.
    fn program(
        &self,
        name: &str,
        member: &Member,
        part: Part,
        namespace: &str,
        service: &Service,
    ) -> ContainerCreateBody {
        let mut body = container::body(service, self.labels(name, part));
        container::share_network(&mut body, namespace);
        if !member.secrets.is_empty() {
            let volume = self.secrets_volume(name);
            let host = body.host_config.get_or_insert_default();
            let mounts = host.mounts.get_or_insert_default();
            mounts.push(container::bare_volume(&volume, secrets::FOLDER, true));
        }
        body
    }

    async fn create_one(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, BackendError> {
        let on_engine = self.on_engine(name);
        let options = CreateContainerOptionsBuilder::new().name(&on_engine).build();
        let mut tries = 0..CLEAR_TRIES;
        loop {
            let created =
                self.engine.docker().create_container(Some(options.clone()), body.clone()).await;
            match created {
                Ok(created) => return Ok(created.id),
                Err(error) if is_taken(&error) && tries.next().is_some() => {
                    self.clear(&on_engine).await?;
                }
                Err(error) => return Err(self.engine.error("create container", error)),
            }
        }
    }

    /// Removes a container of this version that was not there before: the engine finished what a
    /// process asked for that is no more.
    async fn clear(&self, on_engine: &str) -> Result<(), BackendError> {
        let inspected = found(self.engine.docker().inspect_container(on_engine, None).await)
            .map_err(|error| self.engine.error("inspect container", error))?;
        let Some(inspected) = inspected else {
            // Its name is taken before it is there.
            tokio::time::sleep(CLEAR_AFTER).await;
            return Ok(());
        };
        let labels = inspected.config.and_then(|config| config.labels).unwrap_or_default();
        let own = labels.get(label::RESOURCE).map(String::as_str)
            == Some(self.step.resource.id().as_str());
        if !own {
            let message = format!(
                "there is a container {on_engine} that was not made for this: remove it, with \
                 `docker rm`, or rename the deployment"
            );
            return Err(BackendError::permanent(ErrorKind::Conflict, "create container", message));
        }
        let what = format!("the container {on_engine}");
        label::check(self.step, self.context, &what, |key| labels.get(key))?;
        stand::remove_one(self.engine, on_engine).await
    }

    async fn pull(&self, image: &str) -> Result<(), BackendError> {
        self.context.tell(&format!("pulling {image}"));
        let options = CreateImageOptionsBuilder::new().from_image(image).build();
        let mut pulled = self.engine.docker().create_image(Some(options), None, None);
        while let Some(part) = pulled.next().await {
            let failed = part.and_then(|part| match part.error_detail {
                Some(detail) => {
                    Err(Error::DockerStreamError { error: detail.message.unwrap_or_default() })
                }
                None => Ok(()),
            });
            failed.map_err(|error| self.engine.error("pull image", error))?;
        }
        Ok(())
    }

    /// Starts what was made: the namespace, its packet filter, initializers, programs; and waits
    /// until they are ready.
    pub(super) async fn start(&self, made: &Made) -> Result<(), Failure> {
        self.start_namespace(&made.namespace).await?;
        for (name, member) in &self.instance.programs {
            if !member.initializer.is_empty() {
                self.initialize(name, member, &made.namespace).await?;
            }
        }
        for id in made.programs.values() {
            stand::start(self.engine, id).await?;
        }
        self.wait(made, &|_| true).await
    }

    /// Starts what holds the namespace; no program runs before its packet filter is loaded.
    pub(super) async fn start_namespace(&self, id: &str) -> Result<(), Failure> {
        stand::start(self.engine, id).await?;
        if namespace::loads_rules(&self.instance.namespace) {
            ready::filter(self.engine, id, self.name).await?;
        }
        Ok(())
    }

    async fn initialize(
        &self,
        name: &str,
        member: &Member,
        namespace: &str,
    ) -> Result<(), Failure> {
        let service = Service {
            entrypoint: member.initializer.clone(),
            healthcheck: None,
            restart: Some(Restart::Never),
            ..member.container.clone()
        };
        let body = self.program(name, member, Part::Initializer, namespace, &service);
        let id = self.create_one(&naming::initializer(name), body).await?;
        stand::start(self.engine, &id).await?;
        ready::ended(self.engine, &id, name, |wait| self.context.waits(&wait)).await?;
        stand::remove_one(self.engine, &id).await?;
        Ok(())
    }
}
