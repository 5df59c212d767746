//! From spec files to a plan, at 100 to 100,000 functionalities: time and peak memory.
//!
//! ```text
//! cargo bench --bench pipeline            # the table of the README
//! cargo bench --bench pipeline -- 10000   # one size
//! ```
//!
//! Each functionality has four upstreams; there is one target for every ten. Every size runs in a
//! process of its own, so that its peak memory (`VmHWM` of proc_pid_status(5)) is its own; times
//! are the medians of several runs. "parse alone" reads the same bytes with serde into
//! `toml::Table`.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use deployix::core::{
    backend::{MemoryBackend, Registry},
    history::Heads,
    load::load,
    plan::{Only, compile, plan},
    topology::{Assignments, connect, place, resolve},
};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const PER_FILE: usize = 1_000;
const PER_TARGET: usize = 10;
const UPSTREAMS: usize = 4;
/// Set for the process that measures one size.
const CHILD: &str = "DEPLOYIX_BENCH_CHILD";

/// Seconds for each stage, the whole, and parsing alone.
struct Times {
    stages: [Duration; 6],
    total: Duration,
}

fn main() -> ExitCode {
    let asked: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let result = match env::var(CHILD) {
        Ok(kind) => measure(&kind, sizes[0]),
        Err(_) => compare(&sizes),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every size in processes of their own and prints the table.
fn compare(sizes: &[usize]) -> io::Result<()> {
    println!(
        "| functionalities | load | resolve | place | connect | compile | plan | total | peak | \
         parse alone | total / parse |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut totals = Vec::new();
    for &size in sizes {
        let whole = child("whole", size)?;
        let parse = child("parse", size)?;
        let [stages @ .., total, peak] = whole.as_slice() else {
            return Err(io::Error::other("the measuring process printed too little"));
        };
        let stages: String = stages.iter().map(|ms| format!(" {ms:.1} ms |")).collect();
        println!(
            "| {size} |{stages} {total:.1} ms | {:.1} MiB | {:.1} ms | {:.2} |",
            peak / 1024.0,
            parse[0],
            total / parse[0]
        );
        totals.push((size, *total));
    }
    let at = |size| totals.iter().find(|(other, _)| *other == size).map(|(_, total)| *total);
    if let (Some(small), Some(large)) = (at(1_000), at(100_000)) {
        println!("\nfrom 1,000 to 100,000: time grows as n^{:.2}", (large / small).log(100.0));
    }
    Ok(())
}

fn child(kind: &str, size: usize) -> io::Result<Vec<f64>> {
    let output =
        Command::new(env::current_exe()?).arg(size.to_string()).env(CHILD, kind).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// Measures one size in this process and prints milliseconds, then the peak in KiB.
fn measure(kind: &str, size: usize) -> io::Result<()> {
    let folder = env::temp_dir().join(format!("deployix-bench-{kind}-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = write_specs(&folder, size).and_then(|()| {
        let runs = (20_000 / size).clamp(3, 50);
        match kind {
            "parse" => measure_parse(&folder, runs),
            _ => measure_whole(&folder, runs),
        }
    });
    fs::remove_dir_all(&folder)?;
    outcome
}

fn measure_whole(folder: &Path, runs: usize) -> io::Result<()> {
    let mut all = Vec::new();
    let mut peak = 0;
    for run in 0..runs {
        all.push(whole(&folder.join("deployment.toml"))?);
        if run == 0 {
            // Later runs would add what the allocator keeps of earlier ones.
            peak = peak_kib()?;
        }
    }
    all.sort_by_key(|times| times.total);
    let median = &all[all.len() / 2];
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    for time in median.stages.iter().chain([&median.total]) {
        print!("{} ", ms(time));
    }
    println!("{peak}");
    Ok(())
}

/// Once from files to a plan.
fn whole(file: &Path) -> io::Result<Times> {
    let mut stages = [Duration::ZERO; 6];
    let start = Instant::now();
    let mut last = start;
    let mut lap = |stage: usize| {
        let now = Instant::now();
        stages[stage] = now - last;
        last = now;
    };
    let registry = Registry::new().with(MemoryBackend::new());
    let wrong = |what: &dyn std::fmt::Display| io::Error::other(what.to_string());

    let loaded = load(file);
    lap(0);
    let deployment = loaded.complete().map_err(|error| wrong(&error))?;
    let deployment = deployment.ok_or_else(|| wrong(&"nothing was loaded"))?;
    let resolved = resolve(deployment, &registry).complete().map_err(|error| wrong(&error))?;
    lap(1);
    let placed = place(resolved, &Assignments::new(), &registry);
    let placed = placed.complete().map_err(|error| wrong(&error))?;
    lap(2);
    let connected = connect(placed, &registry).complete().map_err(|error| wrong(&error))?;
    lap(3);
    let compiled = compile(connected, &registry, None).complete();
    let compiled = compiled.map_err(|error| wrong(&error))?;
    lap(4);
    let plan = plan(&compiled, &Heads::default(), &registry, &Only::All);
    lap(5);
    let total = start.elapsed();
    if plan.steps.len() != compiled.resources().len() {
        return Err(wrong(&"the plan does not make everything"));
    }
    Ok(Times { stages, total })
}

/// Merely parsing the same bytes.
fn measure_parse(folder: &Path, runs: usize) -> io::Result<()> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        let mut keep = Vec::new();
        for entry in fs::read_dir(folder)? {
            let text = fs::read_to_string(entry?.path())?;
            keep.push(toml::from_str::<toml::Table>(&text).map_err(io::Error::other)?);
        }
        times.push(start.elapsed());
        drop(keep);
    }
    times.sort();
    println!("{}", times[times.len() / 2].as_secs_f64() * 1e3);
    Ok(())
}

fn peak_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("this system does not tell a process's peak memory"))
}

/// Writes a deployment of so many functionalities, always the same one.
fn write_specs(folder: &Path, size: usize) -> io::Result<()> {
    let mut deployment = String::from("version = 1\nname = \"bench\"\ncatalogs = [");
    for file in 0..size.div_ceil(PER_FILE) {
        let _ = write!(deployment, "\"catalog-{file}.toml\", ");
        let last = ((file + 1) * PER_FILE).min(size);
        let catalog = (file * PER_FILE..last).fold(String::from("version = 1\n"), |mut text, n| {
            functionality(&mut text, n, size);
            text
        });
        fs::write(folder.join(format!("catalog-{file}.toml")), catalog)?;
    }
    deployment.push_str("]\ninfrastructure = [\"infrastructure.toml\"]\n");
    fs::write(folder.join("deployment.toml"), deployment)?;
    let mut infrastructure = String::from("version = 1\n[network.net]\n");
    for target in 0..size.div_ceil(PER_TARGET) {
        let _ = write!(
            infrastructure,
            "[target.t{target}]\nbackend = \"memory\"\nnetwork = \"net\"\n\
             capacity = {{ services = {PER_TARGET} }}\n"
        );
    }
    fs::write(folder.join("infrastructure.toml"), infrastructure)
}

fn functionality(text: &mut String, n: usize, size: usize) {
    let upstreams: Vec<_> = (1..=UPSTREAMS)
        .map(|k| format!("\"f{}.example.com\"", (n * 7 + k * 7_919) % size))
        .collect();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "[functionality.f{n}]\n\
         fqdn = \"f{n}.example.com\"\n\
         upstream-hosts = [{}]\n\
         [functionality.f{n}.service]\n\
         start = [\"serve\", \"--port\", \"${{endpoint:http}}\"]\n\
         software.debian = [\"serve\"]\n\
         user = \"serve\"\n\
         env.NUMBER = \"{n}\"\n\
         env.PASSWORD = \"${{secret:f{n}}}\"\n\
         readiness = {{ http = \"http\", path = \"/healthz\", within = \"30s\" }}\n\
         limits = {{ memory = \"64MiB\" }}\n\
         endpoints.http.port = {}\n",
        upstreams.join(", "),
        1024 + n % 60_000
    );
}
