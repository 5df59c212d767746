//! [`Guest`]: what compiles the inside of machines that a backend makes.

use std::fmt;

use super::{CompileError, Site, Unit, UserData, UserDataPart};

/// Compiles functionalities into a machine's first boot.
///
/// # Contract
/// * Neither method does I/O, reads a clock or uses randomness.
/// * Nothing that needs the disk runs before it is mounted, at the first boot and at every other.
/// * No secret's value is in anything that it gives.
pub trait Guest: fmt::Debug + Send + Sync {
    /// Whether a unit keeps what has to outlive its machine, and this guest can keep it on a disk of
    /// its own. Where it says so of any unit of a machine, a backend that has such disks gives the
    /// machine one.
    fn keeps_on_disk(&self, unit: &Unit<'_>) -> bool;

    /// What to tell a machine at its first boot, so that its units run on it.
    ///
    /// # Errors
    /// Every reason why that cannot be.
    fn user_data(&self, machine: &FirstBoot<'_>) -> Result<UserData, CompileError>;
}

/// A machine of a target at its first boot.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FirstBoot<'a> {
    /// Where it stands.
    pub site: Site<'a>,
    /// What is to run on it.
    pub units: &'a [Unit<'a>],
    /// The disk that outlives it, where it has one.
    pub disk: Option<&'a Disk>,
}

impl<'a> FirstBoot<'a> {
    /// A machine all of whose disks go with it.
    #[must_use]
    pub fn new(site: Site<'a>, units: &'a [Unit<'a>]) -> Self {
        Self { site, units, disk: None }
    }

    /// The same machine with a disk that outlives it.
    #[must_use]
    pub fn with_disk(self, disk: &'a Disk) -> Self {
        Self { disk: Some(disk), ..self }
    }
}

/// A disk that outlives its machine. It may be attached only after the machine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// A script for `/bin/sh` that mounts it at the folder that is its one argument, and makes that
    /// folder. It runs as root, waits for the disk, makes a file system only where there is none
    /// and does nothing where the disk is mounted already; so it may run again, as it must where it
    /// fails. What is filled in has no character that means anything to a shell or to YAML.
    pub mount: Vec<UserDataPart>,
}
