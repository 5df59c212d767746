//! Images: built from a context that the resource names file by file.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bollard::{
    errors::Error,
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{
        BuildImageOptionsBuilder, BuilderVersion, ListImagesOptionsBuilder,
        RemoveImageOptionsBuilder,
    },
};
use deployix_core::{
    Name,
    backend::{Action, BackendError, ErrorKind, ErrorStatus, Input, Step, StepContext},
};
use futures_util::StreamExt;
use tokio::sync::RwLock;

use super::{
    engine::{Engine, found, is_missing},
    label, plain, stand,
};
use crate::{dockerfile, error::EmitError};

/// How many lines of a build's log an error holds.
const LAST_LINES: usize = 20;

/// What a stage that is no image is within its deployment: a [label](label::PART).
const STAGE: &str = "stage";

/// What a build fails with where the engine is being stopped.
const INTERRUPTED: [&str; 4] =
    ["context canceled", "shutting down", "transport is closing", "unexpected EOF"];

/// What a build fails with where somebody removes an image that it has taken steps over from.
const LOST: [&str; 2] = ["No such image", "unknown parent image"];

/// How often a build is begun that loses what it took over.
const TRIES: usize = 5;

/// Builds under way on one engine, and what they left.
///
/// A builder keeps each stage that another copied from as an image without a name. Two builds may
/// share one, so these go once none is under way. Each has the labels of its deployment, so that the
/// next one finds what a process left that was killed.
pub(super) struct Builds {
    under_way: RwLock<()>,
    left: Mutex<Left>,
    /// The deployments and targets of which it was looked what others left.
    swept: Mutex<BTreeSet<(Name, Name)>>,
}

/// How many images an engine builds at once: it does the work, and has so much memory and no more.
const AT_ONCE: u32 = 16;

impl Default for Builds {
    fn default() -> Self {
        let under_way = RwLock::with_max_readers((), AT_ONCE);
        Self { under_way, left: Mutex::default(), swept: Mutex::default() }
    }
}

/// What is to be removed once no build is under way.
#[derive(Default)]
struct Left {
    /// Images that the log of a build told.
    stages: BTreeSet<String>,
    /// Labels of images without a name.
    images: BTreeSet<Vec<String>>,
    /// Labels of containers that a builder made.
    containers: BTreeSet<Vec<String>>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.images.is_empty() && self.containers.is_empty()
    }
}

impl Builds {
    /// Removes what builds of processes left that were killed, the first time that it is asked to.
    pub(super) async fn sweep_first(&self, engine: &Engine, step: &Step<'_>) {
        let target = (step.deployment.clone(), step.site.target.name.clone());
        // Every change is one insertion, so a panic elsewhere leaves the set whole.
        if self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(target) {
            self.ended(step);
            self.sweep(engine).await;
        }
    }

    /// A step is over of which anything may be left, be it of one before that was cut off.
    fn ended(&self, step: &Step<'_>) {
        let mut stages = label::of_target(step.deployment, &step.site.target.name);
        stages.push(format!("{}={STAGE}", label::PART));
        // What else has no name may be about to get it from another process, but for images of the
        // step's own resource, which nobody else is at: their builds ended before they named them.
        let own = label::of_resource(step);
        let mut left = self.left();
        left.images.extend([stages, own.clone()]);
        left.containers.insert(own);
    }

    /// An instance is what it should be: its images have their names, so what has none of them came of
    /// a build of before, whose process was killed and which its engine ended only after the new one.
    pub(super) fn used(&self, step: &Step<'_>) {
        self.left().images.extend(label::of_functionality(step));
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        // As above.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what builds left, unless one is under way, after which this is done; what is in use
    /// stays. What an engine does not answer for is left for the next time.
    pub(super) async fn sweep(&self, engine: &Engine) {
        // Whoever comes while this is at work goes on, so it looks again.
        while !self.left().is_empty()
            && let Ok(_alone) = self.under_way.try_write()
        {
            let mut left = std::mem::take(&mut *self.left());
            if let Err(error) = left.sweep(engine).await
                && error.status() == ErrorStatus::Temporary
            {
                self.left().add(left);
                return;
            }
        }
    }
}

impl Left {
    fn add(&mut self, other: Self) {
        self.stages.extend(other.stages);
        self.images.extend(other.images);
        self.containers.extend(other.containers);
    }

    async fn sweep(&mut self, engine: &Engine) -> Result<(), BackendError> {
        for labels in &self.containers {
            sweep_containers(engine, labels.clone()).await?;
        }
        let mut stages = self.stages.clone();
        for labels in &self.images {
            let nameless = ("dangling".to_owned(), vec!["true".to_owned()]);
            let filters = [("label".to_owned(), labels.clone()), nameless].into();
            let options = ListImagesOptionsBuilder::new().filters(&filters).build();
            let listed = engine.docker().list_images(Some(options)).await;
            let listed = listed.map_err(|error| engine.error("list images", error))?;
            stages.extend(listed.into_iter().map(|image| image.id));
        }
        for stage in stages {
            let options = RemoveImageOptionsBuilder::new().build();
            match engine.docker().remove_image(&stage, Some(options), None).await {
                // In use, or gone.
                Ok(_) | Err(Error::DockerResponseServerError { .. }) => {}
                Err(error) => return Err(engine.error("remove image", error)),
            }
        }
        Ok(())
    }
}

/// Removes containers that builds of an image left with which their engine died: they have the
/// labels of the image to be, and do not run; what they were made from has no name.
async fn sweep_containers(engine: &Engine, labels: Vec<String>) -> Result<(), BackendError> {
    let of_a_build = |container: &ContainerSummary| {
        let labels = container.labels.as_ref();
        let resource = labels.and_then(|labels| labels.get(label::RESOURCE));
        let id = container.image_id.as_deref().unwrap_or_default();
        let made_from = container.image.as_deref().unwrap_or_default();
        let nameless = id.trim_start_matches("sha256:").starts_with(made_from) || id == made_from;
        resource.is_some_and(|resource| label::kind(resource) == Some("image"))
            && container.state != Some(ContainerSummaryStateEnum::RUNNING)
            && nameless
    };
    let listed = stand::list(engine, labels).await?;
    for container in listed.iter().filter(|container| of_a_build(container)) {
        stand::remove_one(engine, container.id.as_deref().unwrap_or_default()).await?;
    }
    Ok(())
}

pub(super) async fn apply(
    engine: &Engine,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let image = &*super::name(step, "image")?;
    let standing = found(engine.docker().inspect_image(image).await)
        .map_err(|error| engine.error("inspect image", error).as_it_was())?;
    let before = standing.as_ref().and_then(|image| image.id.clone());
    let labels = standing.and_then(|image| image.config?.labels).unwrap_or_default();
    label::check(step, context, &format!("the image {image}"), |key| labels.get(key))?;
    if matches!(step.action, Action::Remove) {
        remove(engine, image).await?;
        engine.builds.ended(step);
        engine.builds.sweep(engine).await;
        return Ok(());
    }
    if labels.get(label::DIGEST) == Some(&step.resource.digest().to_string()) {
        engine.builds.ended(step);
        engine.builds.sweep(engine).await;
        return Ok(());
    }
    let archive = archive(step, context).await?;
    let built = {
        let _one_more = engine.builds.under_way.read().await;
        let mut tries = 1..TRIES;
        let built = loop {
            match build(engine, context, image, &archive).await {
                Err(error) if error.kind() == ErrorKind::Conflict && tries.next().is_some() => {}
                built => break built,
            }
        };
        engine.builds.ended(step);
        built
    };
    engine.builds.sweep(engine).await;
    built?;
    if let Some(before) = before {
        // Without its name nobody would know what it is; in use or the same, it stays.
        let options = RemoveImageOptionsBuilder::new().build();
        let _ = engine.docker().remove_image(&before, Some(options), None).await;
    }
    Ok(())
}

/// The build context as an archive: equal contexts give equal bytes.
async fn archive(step: &Step<'_>, context: &StepContext<'_>) -> Result<Vec<u8>, BackendError> {
    let Some(Input::Map(files)) = step.inputs.get("context") else {
        return Err(BackendError::unreadable("there is no `context`"));
    };
    let broken = |error: std::io::Error| {
        BackendError::permanent(ErrorKind::Unexpected, "pack build context", error.to_string())
            .as_it_was()
    };
    let unlabelled = |error: EmitError| {
        BackendError::permanent(ErrorKind::Invalid, "label image", error.to_string()).as_it_was()
    };
    let mut archive = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (path, file) in files {
        let Input::File(file) = file else {
            return Err(BackendError::unreadable(&format!("`context.{path}` is no file")));
        };
        let mut content = context.file(file).await.map_err(BackendError::as_it_was)?.to_vec();
        if path == "Dockerfile" {
            content = labelled(&content, step, context).map_err(unlabelled)?;
        }
        for (end, _) in path.match_indices('/') {
            if folders.insert(&path[..end]) {
                let mut header = header(0o755, 0);
                header.set_entry_type(tar::EntryType::Directory);
                let folder = format!("{}/", &path[..end]);
                archive.append_data(&mut header, folder, std::io::empty()).map_err(broken)?;
            }
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        let mut header = header(mode, content.len() as u64);
        archive.append_data(&mut header, path.as_ref(), &*content).map_err(broken)?;
    }
    archive.into_inner().map_err(broken)
}

/// The same Dockerfile, whose last stage, which becomes the image, ends with all labels of it, and
/// whose others end with those of their deployment.
///
/// A builder makes an image of each instruction, so one that dies leaves none with a part of them.
fn labelled(
    dockerfile: &[u8],
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<Vec<u8>, EmitError> {
    let stage = [
        (label::DEPLOYMENT, step.deployment.as_str()),
        (label::TARGET, step.site.target.name.as_str()),
        (label::PART, STAGE),
    ];
    let stage = stage.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let stage = dockerfile::label(&stage.into())?;
    let mut labelled = Vec::with_capacity(dockerfile.len() + stage.len());
    let (mut first, mut goes_on) = (true, false);
    for line in dockerfile.split_inclusive(|byte| *byte == b'\n') {
        if !goes_on && line.starts_with(b"FROM ") && !std::mem::replace(&mut first, false) {
            labelled.extend_from_slice(stage.as_bytes());
        }
        goes_on = line.ends_with(b"\\\n") && !line.starts_with(b"#");
        labelled.extend_from_slice(line);
    }
    labelled.extend_from_slice(dockerfile::label(&label::of(step, context))?.as_bytes());
    Ok(labelled)
}

fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Builds an image and tells each line of the log.
async fn build(
    engine: &Engine,
    context: &StepContext<'_>,
    image: &str,
    archive: &[u8],
) -> Result<(), BackendError> {
    let options = BuildImageOptionsBuilder::new()
        .t(image)
        .rm(true)
        .forcerm(true)
        .version(BuilderVersion::BuilderV1)
        .build();
    let body = bollard::body_full(archive.to_vec().into());
    let patient = engine.patient();
    let mut log = patient.build_image(options, None, Some(body));
    let mut lines = Lines::default();
    while let Some(part) = log.next().await {
        let failed = match part {
            Ok(part) => {
                let mut text = part.stream.unwrap_or_default();
                // What pulling the base image tells; its progress would only flood.
                if let Some(status) = part.status.filter(|_| part.progress_detail.is_none()) {
                    text.push_str(&status);
                    text.push('\n');
                }
                let mut stages = Vec::new();
                lines.add(&text, &mut |line, stage| {
                    context.tell(line);
                    stages.extend(stage);
                });
                engine.builds.left().stages.extend(stages);
                part.error_detail.map(|detail| detail.message.unwrap_or_default())
            }
            Err(Error::DockerStreamError { error }) => Some(error),
            Err(error @ Error::DockerResponseServerError { .. }) => {
                return Err(engine.error("build image", error).as_it_was());
            }
            Err(error) => return Err(engine.error("build image", error)),
        };
        if let Some(failed) = failed {
            let has = |parts: &[&str]| parts.iter().any(|part| failed.contains(part));
            let temporary = |kind| {
                let message = format!("{image} was not built to its end: {failed}");
                BackendError::temporary(kind, "build image", message)
            };
            if has(&LOST) {
                return Err(temporary(ErrorKind::Conflict).as_it_was());
            }
            if has(&INTERRUPTED) {
                return Err(temporary(ErrorKind::Unavailable));
            }
            let told: Vec<_> = lines.last.into();
            let message = format!("{image} does not build: {failed}\n{}", told.join("\n"));
            let message = message.trim_end();
            let error = BackendError::permanent(ErrorKind::Invalid, "build image", message);
            return Err(error.as_it_was());
        }
    }
    match found(engine.docker().inspect_image(image).await) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let message = format!("the engine left off building {image} without a word");
            Err(BackendError::temporary(ErrorKind::Unavailable, "build image", message))
        }
        Err(error) => Err(engine.error("inspect image", error)),
    }
}

/// A log that comes in pieces.
#[derive(Default)]
struct Lines {
    last: VecDeque<String>,
    /// A line that has not ended yet.
    rest: String,
    /// The image after the last instruction.
    image: Option<String>,
}

impl Lines {
    /// Adds a piece, and shows each line that ends in it; with the stage that ends there, if one
    /// does.
    fn add(&mut self, text: &str, show: &mut dyn FnMut(&str, Option<String>)) {
        self.rest.push_str(text);
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            let line = plain(&line);
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let begins = line.starts_with("Step ") && line.contains(" : FROM ");
            show(line, if begins { self.image.take() } else { None });
            if let Some(image) = line.strip_prefix(" ---> ")
                && image.bytes().all(|b| b.is_ascii_hexdigit())
            {
                self.image = Some(image.to_owned());
            }
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(line.to_owned());
        }
    }
}

async fn remove(engine: &Engine, image: &str) -> Result<(), BackendError> {
    let options = RemoveImageOptionsBuilder::new().build();
    match engine.docker().remove_image(image, Some(options), None).await {
        Err(error) if !is_missing(&error) => Err(engine.error("remove image", error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_pieces_is_told_by_lines_and_its_end_is_kept() {
        let mut told = Vec::new();
        let mut lines = Lines::default();
        for part in ["Step 1", "/2\n\n ---> ab", "c\r\nx"] {
            lines.add(part, &mut |line, _| told.push(line.to_owned()));
        }
        assert_eq!(told, ["Step 1/2", " ---> abc"]);
        for line in 0..30 {
            lines.add(&format!("{line}\n"), &mut |_, _| {});
        }
        assert_eq!(lines.last.len(), LAST_LINES);
        assert_eq!(lines.last.back().map(String::as_str), Some("29"));
    }

    #[test]
    fn the_stage_before_another_is_known() {
        let mut stages = Vec::new();
        let log = "Step 1/3 : FROM a AS x\n ---> 0cc\nStep 2/3 : RUN y\n ---> Using cache\n ---> 04c\n\
                   Step 3/3 : FROM a\n ---> 0cc\nSuccessfully built 0cc\n";
        Lines::default().add(log, &mut |_, stage| stages.extend(stage));
        assert_eq!(stages, ["04c"]);
    }
}
