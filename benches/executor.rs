//! What carrying out a plan costs by itself, at 100 to 100,000 steps: on the in-memory backend, whose
//! steps take no time, with the history in memory and in a local folder.
//!
//! ```text
//! cargo bench --bench executor            # the tables of the README
//! cargo bench --bench executor -- 10000   # one size
//! ```
//!
//! Half of the steps make functionalities, each with one upstream; the other half opens it. Every
//! size runs in a process of its own, so that its peak memory (`VmHWM` of proc_pid_status(5)) is its
//! own; times are the medians of several runs. The last table is what one changed functionality of
//! 1,000 adds to the history's folder.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use deployix::core::{
    BackendId, Name,
    backend::{MemoryBackend, Registry},
    execute::{ApplyOptions, Interrupt, apply},
    history::{Heads, History, store},
    plan::{Only, Plan, compile_anew, plan},
    spec::{Catalog, Deployment, FunctionalitySpec, ServiceSpec, Target},
};
use tokio::runtime;

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// How many functionalities one of is changed, for the bytes that this adds.
const ALL: usize = 1_000;
/// Set for the process that measures one size.
const CHILD: &str = "DEPLOYIX_BENCH_CHILD";

fn main() -> ExitCode {
    let asked: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let result = match env::var(CHILD).as_deref() {
        Ok("bytes") => measure_bytes(),
        Ok(kind) => measure(kind, sizes[0]),
        Err(_) => compare(&sizes),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("executor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every size in processes of their own and prints the tables.
fn compare(sizes: &[usize]) -> io::Result<()> {
    println!("| steps | history | apply | per step | entries | before apply | peak |");
    println!("|---:|---|---:|---:|---:|---:|---:|");
    for &size in sizes {
        for kind in ["memory", "folder"] {
            let [ms, entries, before, peak] = *child(kind, size)? else {
                return Err(wrong("the measuring process printed too little"));
            };
            let steps = u32::try_from(size).map_err(wrong)?;
            println!(
                "| {size} | {kind} | {ms:.1} ms | {:.1} µs | {entries} | {:.1} MiB | {:.1} MiB |",
                ms * 1e3 / f64::from(steps),
                before / 1024.0,
                peak / 1024.0
            );
        }
    }
    let [first, none, changed, content] = *child("bytes", ALL)? else {
        return Err(wrong("the measuring process printed too little"));
    };
    println!("\n| deploy of {ALL} functionalities | bytes added to the history |");
    println!("|---|---:|");
    println!("| the first | {first} |");
    println!("| nothing changed | {none} |");
    println!("| one changed | {changed}, {content} of them a new content |");
    Ok(())
}

fn child(kind: &str, size: usize) -> io::Result<Vec<f64>> {
    let output =
        Command::new(env::current_exe()?).arg(size.to_string()).env(CHILD, kind).output()?;
    if !output.status.success() {
        return Err(wrong(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// Measures one size in this process: milliseconds, entries, and KiB before and at the most.
fn measure(kind: &str, size: usize) -> io::Result<()> {
    let registry = registry();
    let first = planned(size / 2, None, &Heads::default(), &registry)?;
    let before = peak_kib()?;
    let mut times = Vec::new();
    let mut entries = 0;
    for _ in 0..(20_000 / size).clamp(3, 30) {
        let folder = Folder::new()?;
        let url = if kind == "memory" { "memory:".to_owned() } else { folder.url() };
        let (took, generation) = carried_out(&first, &url, &registry)?;
        times.push(took);
        entries = generation;
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    println!("{median} {entries} {before} {}", peak_kib()?);
    Ok(())
}

/// Measures what deploys add to a folder: the first one, one that changes nothing, one that changes
/// one functionality, and how much of the last is contents.
fn measure_bytes() -> io::Result<()> {
    let folder = Folder::new()?;
    let (url, registry) = (folder.url(), registry());
    let mut added = Vec::new();
    let mut contents = 0;
    for changed in [None, None, Some(7)] {
        let before = (folder.bytes("")?, folder.bytes("bench/contents")?);
        let heads =
            runtime()?.block_on(async { history(&url).await?.heads().await.map_err(wrong) })?;
        carried_out(&planned(ALL, changed, &heads, &registry)?, &url, &registry)?;
        added.push(folder.bytes("")? - before.0);
        contents = folder.bytes("bench/contents")? - before.1;
    }
    println!("{} {} {} {contents}", added[0], added[1], added[2]);
    Ok(())
}

fn registry() -> Registry {
    Registry::new().with(MemoryBackend::new())
}

fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

async fn history(url: &str) -> io::Result<History> {
    let store = store(url, Path::new("")).map_err(wrong)?;
    History::open(store, &Name::new("bench").map_err(wrong)?).await.map_err(wrong)
}

/// Carries a plan out into a history: how long it took, and the generation that it ended with.
fn carried_out(plan: &Plan, url: &str, registry: &Registry) -> io::Result<(Duration, u64)> {
    runtime()?.block_on(async {
        let history = history(url).await?;
        let (options, interrupt) = (ApplyOptions::new(), Interrupt::default());
        let start = Instant::now();
        let report = apply(plan, &history, registry, &options, &interrupt, None).await;
        let took = start.elapsed();
        if report.is_good() {
            Ok((took, report.generation))
        } else {
            Err(wrong(format!("{report:?}")))
        }
    })
}

/// The plan for so many functionalities, one of which may have changed.
fn planned(
    count: usize,
    changed: Option<usize>,
    heads: &Heads,
    registry: &Registry,
) -> io::Result<Plan> {
    let functionality = |n: usize| {
        // On one machine each has a port of its own.
        let port = u16::try_from(n % 60_000).map_err(wrong)?;
        let value = if changed == Some(n) { "changed" } else { "as it was" };
        let service = ServiceSpec::builder(["serve", "--port", "${endpoint:http}"])
            .debian(["serve"])
            .env("VALUE", value)
            .endpoint("http", 1024 + port)
            .build()
            .map_err(wrong)?;
        let mut functionality = FunctionalitySpec::new(&format!("f{n}"), service)
            .and_then(|spec| spec.fqdn(&format!("f{n}.example.com")))
            .map_err(wrong)?;
        if n > 0 {
            let upstream = format!("f{}.example.com", n / 2);
            functionality = functionality.upstream(&upstream).map_err(wrong)?;
        }
        io::Result::Ok(functionality.shared())
    };
    let catalog: Catalog = (0..count).map(functionality).collect::<io::Result<_>>()?;
    let mut deployment = Deployment::new(Name::new("bench").map_err(wrong)?, vec![catalog]);
    let backend = BackendId::new("memory").map_err(wrong)?;
    let target = Target::machine(Name::new("box").map_err(wrong)?, backend);
    deployment.infrastructure.targets.insert(target.name.clone(), target);
    let compiled = compile_anew(deployment, registry).complete().map_err(wrong)?;
    Ok(plan(&compiled, heads, registry, &Only::All))
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("deployix-bench-executor-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn url(&self) -> String {
        format!("file:{}", self.0.display())
    }

    /// How many bytes are in the files below.
    fn bytes(&self, below: &str) -> io::Result<u64> {
        let (mut open, mut sum) = (vec![self.0.join(below)], 0);
        while let Some(folder) = open.pop() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => open.push(entry.path()),
                    false => sum += entry.metadata()?.len(),
                }
            }
        }
        Ok(sum)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left there is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn peak_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| wrong("this system does not tell a process's peak memory"))
}

fn wrong(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
