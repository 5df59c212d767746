//! Disks with state: nobody loses one, or a machine of somebody else's, without having asked.

use std::time::Duration;

use deployix_backend_ec2::{
    engine::shape::{Instance, Volume, VolumeAttachment},
    request::{InstanceId, VolumeId},
};
use deployix_core::{
    ResourceId,
    backend::{Action, Backend, Inputs, NoFiles, Owner, Resource, Step, StepContext},
};

use tokio::time::Instant;

use crate::{
    deploy::keeper,
    site::{Hunter, Site, ends},
    strict::World,
    support::{With, deployment, functionality, name},
};

const REGION: &str = "eu-central-1";
const DISK: &str = "ec2/target/one/machine/0/volume";

/// The disks that are tagged as the state of the machine, the oldest first.
fn disks(site: &Site) -> Vec<Volume> {
    let is_state = |it: &&Volume| {
        it.tags.iter().any(|tag| tag.key == "deployix:resource" && tag.value == DISK)
    };
    site.aws.by_hand(REGION, |world| world.volumes.all().filter(is_state).cloned().collect())
}

fn machine(site: &Site, id: &InstanceId) -> Instance {
    site.aws.by_hand(REGION, |world| world.instances.entry(id.as_str()).unwrap().it.clone())
}

/// Attaches a disk elsewhere, whatever it is attached to.
fn attach(world: &mut World, disk: &VolumeId, machine: &InstanceId, device: &str) {
    let disk = &mut world.volumes.entry(disk.as_str()).unwrap().it;
    disk.state = "in-use".to_owned();
    disk.attachments = vec![VolumeAttachment {
        instance_id: machine.clone(),
        device: device.to_owned(),
        state: "attached".to_owned(),
    }];
}

/// What was stopped, detached or deleted since this was last asked.
fn losses(site: &Site) -> Vec<String> {
    let mut writes = site.aws.take_writes();
    writes.retain(|it| ["StopInstances", "DetachVolume", "DeleteVolume"].contains(&it.as_str()));
    writes
}

#[tokio::test(start_paused = true)]
async fn of_two_disks_that_carry_the_same_tags_neither_goes_until_somebody_says_which() {
    let site = Site::new(&keeper(), 120);
    site.deploy(keeper()).await;
    let original = disks(&site).remove(0);
    let copy = site.aws.by_hand(REGION, |world| world.copy_volume(&original));
    let stands = site.aws.inventory();
    site.aws.take_writes();

    let (plan, drifts) = site.plan_refreshed(keeper()).await;
    assert!(drifts.iter().any(|it| it.contains("volume: there are two of it")), "{drifts:?}");
    let told = ends(&site.carry_out(&plan).await);
    let attached = original.attachments[0].instance_id.as_str();
    for part in [
        &format!("{} (attached to {attached})", original.volume_id),
        &format!("{copy} (attached to nothing)"),
        "remove those that are not, or take their tags off",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(losses(&site), [""; 0]);
    assert_eq!(site.aws.inventory(), stands);

    site.aws.by_hand(REGION, |world| {
        let tags = &mut world.volumes.entry(copy.as_str()).unwrap().it.tags;
        tags.retain(|tag| !tag.key.starts_with("deployix:"));
    });
    site.deploy(keeper()).await;
    assert_eq!(site.plan_refreshed(keeper()).await.1, [""; 0]);
    assert_eq!(disks(&site), [original]);
    assert_eq!(losses(&site), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn all_disks_of_a_resource_stay_when_it_is_destroyed_and_go_when_its_data_is_asked_for() {
    let site = Site::new(&keeper(), 121);
    site.deploy(keeper()).await;
    let original = disks(&site).remove(0);
    site.aws.by_hand(REGION, |world| world.copy_volume(&original));
    site.destroy_but_data().await;
    let left = site.aws.inventory();
    assert_eq!((left.len(), disks(&site).len()), (2, 2), "{left:?}");
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_goes_without_the_disks_that_carry_its_tags() {
    let site = Site::new(&keeper(), 122);
    site.deploy(keeper()).await;
    site.destroy_but_data().await;
    let disk = disks(&site);
    assert_eq!(disk.len(), 1);
    let (backend, compiled) = (site.backend(), site.compiled(keeper(), &site.heads().await));
    let at = compiled.connected().sites().next().unwrap();
    let context = StepContext::new(&NoFiles, &Hunter, &|_| {});
    let unknown = || {
        let owner = Owner::Target(name("one"));
        Resource::new(ResourceId::new(DISK).unwrap(), owner, Inputs::default(), [])
    };
    for (resource, left) in [(unknown(), disk), (unknown().holding_data(), Vec::new())] {
        let deployment = compiled.connected().deployment();
        let step = Step::new(deployment, at, &resource, Action::Remove);
        backend.apply(&step, &context).await.unwrap();
        assert_eq!(disks(&site), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_at_a_machine_of_others_is_told_and_that_machine_runs_on() {
    let site = Site::new(&keeper(), 123);
    site.deploy(keeper()).await;
    let disk = disks(&site).remove(0);
    let rescue = site.aws.by_hand(REGION, |world| {
        let rescue = world.machine_of_others();
        attach(world, &disk.volume_id, &rescue, "/dev/sdf");
        rescue
    });
    site.aws.take_writes();
    let lent = disks(&site);

    let (plan, drifts) = site.plan_refreshed(keeper()).await;
    let is_told = format!("it is attached to {rescue}, which is no machine of this deployment");
    assert!(drifts.iter().any(|it| it.contains(&is_told)), "{drifts:?}");
    let (gently, wholly) = (site.plan_to_remove(false).await, site.plan_to_destroy().await);
    for plan in [plan, gently, wholly] {
        let told = ends(&site.carry_out(&plan).await);
        let says = format!("{} is attached to {rescue}", disk.volume_id);
        assert!(told.contains(&says) && told.contains("detach the disk there"), "{told}");
        assert_eq!(losses(&site), [""; 0]);
        assert_eq!(machine(&site, &rescue).state, "running");
        let attached = |all: &[Volume]| all[0].attachments.clone();
        assert_eq!(attached(&disks(&site)), attached(&lent));
    }

    site.aws.by_hand(REGION, |world| {
        let disk = &mut world.volumes.entry(disk.volume_id.as_str()).unwrap().it;
        disk.attachments.clear();
        disk.state = "available".to_owned();
    });
    site.deploy(keeper()).await;
    assert_eq!(site.plan_refreshed(keeper()).await.1, [""; 0]);
    assert_eq!(machine(&site, &rescue).state, "running");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_stopped_to_move_its_disk_runs_again_when_that_is_done() {
    let site = Site::new(&keeper(), 124);
    site.deploy(keeper()).await;
    let disk = disks(&site).remove(0);
    let own = disk.attachments[0].instance_id.clone();
    site.aws.by_hand(REGION, |world| attach(world, &disk.volume_id, &own, "/dev/sdx"));
    site.aws.take_writes();

    let (plan, drifts) = site.plan_refreshed(keeper()).await;
    assert!(drifts.iter().any(|it| it.contains("it is attached as /dev/sdx")), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(losses(&site), ["StopInstances", "DetachVolume"]);
    let (now, runs) = (disks(&site).remove(0), machine(&site, &own));
    assert_eq!((&*now.attachments[0].device, &now.attachments[0].instance_id), ("/dev/sdf", &own));
    assert_eq!((&*runs.state, &*runs.status), ("running", "ok"));
    assert_eq!(site.plan_refreshed(keeper()).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_died_with_a_machine_stopped_is_followed_by_one_that_starts_it() {
    let site = Site::new(&keeper(), 125);
    site.deploy(keeper()).await;
    let disk = disks(&site).remove(0);
    let own = disk.attachments[0].instance_id.clone();
    site.aws.by_hand(REGION, |world| {
        attach(world, &disk.volume_id, &own, "/dev/sdx");
    });
    let (plan, _) = site.plan_refreshed(keeper()).await;
    site.aws.mood(|mood| {
        mood.refuses.insert("StartInstances", ("UnauthorizedOperation", "not authorized"));
    });
    assert!(!site.carry_out(&plan).await.is_good());
    assert_eq!(machine(&site, &own).state, "stopped");
    site.aws.mood(|mood| mood.refuses.clear());
    site.deploy(keeper()).await;
    assert_eq!(machine(&site, &own).state, "running");
}

#[tokio::test(start_paused = true)]
async fn another_machine_of_ours_gives_the_disk_back_and_runs_on() {
    let both = || {
        let mut both = keeper();
        let web = deployment(vec![functionality("web", 8080, &[])]);
        both.catalogs.extend(web.catalogs);
        both.machine("two", Some("n")).placed("web", "two")
    };
    let site = Site::new(&both(), 126);
    site.deploy(both()).await;
    let disk = disks(&site).remove(0);
    let own = disk.attachments[0].instance_id.clone();
    let other = site.aws.by_hand(REGION, |world| {
        let mut all = world.instances.all().map(|it| it.instance_id.clone());
        let other = all.find(|it| *it != own).unwrap();
        drop(all);
        attach(world, &disk.volume_id, &other, "/dev/sdf");
        other
    });
    let (plan, drifts) = site.plan_refreshed(both()).await;
    let is_told = format!("it is attached to {other}, which is ec2/target/two/");
    assert!(drifts.iter().any(|it| it.contains(&is_told)), "{drifts:?}");
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(disks(&site)[0].attachments[0].instance_id, own);
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    let states = [&own, &other].map(|id| machine(&site, id).state);
    assert_eq!(states, ["running", "running"]);
    assert_eq!(site.plan_refreshed(both()).await.1, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_destroyed_is_made_again_as_fast_as_the_first_one() {
    let site = Site::new(&keeper(), 127);
    let mut first = None;
    for _ in 0..4 {
        let began = Instant::now();
        site.deploy(keeper()).await;
        let took = began.elapsed();
        let first = *first.get_or_insert(took);
        assert!(took < first + Duration::from_secs(30), "{took:?}, and the first took {first:?}");
        assert_eq!(disks(&site).len(), 1);
        site.destroy().await;
        // By then AWS shows nothing of it any more, and still knows by which tokens it was made.
        tokio::time::sleep(Duration::from_secs(7200)).await;
        assert_eq!(site.aws.inventory(), [""; 0]);
    }
}
