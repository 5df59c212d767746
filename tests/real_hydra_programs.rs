#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! The programs of `examples/hydra` at work on this machine, without deployix: a commit that is pushed to `git daemon`
//! travels through the database to the web page.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PASSWORD: &str = "a 'password' with \"everything\" $in it \\";
/// An account that every Unix has and that owns nothing.
const NOBODY: u32 = 65534;

#[test]
fn a_commit_travels_to_the_web_page() {
    let site = Site::new();
    let pages = [site.start_web(), site.start_web()];
    let mut evaluator = site.start("hydra-evaluator", &site.follow("evaluator"));
    let mut runner = site.start("hydra-queue-runner", &site.follow("queue-runner"));

    wait_for("the page to listen", || page_status(&pages[0], "/healthz").is_some());
    assert_eq!(page_status(&pages[0], "/healthz"), Some(503), "there is no database yet");

    site.initialize_database();
    site.initialize_database();
    let mut database = site.start_database();
    site.initialize_repository();
    site.initialize_repository();
    let _git = site.start_git();
    for page in &pages {
        wait_for("the page to be healthy", || page_status(page, "/healthz") == Some(200));
    }

    let first = site.push_commit("Add a <script>alert(1)</script> & more");
    let listed = wait_for_page(&pages[0], &first.row("done"));
    assert!(listed.contains("Add a &lt;script&gt;alert(1)&lt;/script&gt; &amp; more"), "{listed}");
    wait_for_page(&pages[1], &first.row("done"));

    evaluator.stop();
    runner.stop();
    database.stop_with("INT");
    assert_eq!(page_status(&pages[0], "/healthz"), Some(503), "the database is down");
    let second = site.push_commit("Pushed while nobody looked");
    let _evaluator = site.start("hydra-evaluator", &site.follow("evaluator"));
    let _runner = site.start("hydra-queue-runner", &site.follow("queue-runner"));
    let _database = site.start_database();
    let listed = wait_for_page(&pages[0], &second.row("done"));
    assert_eq!(listed.matches(&first.hash).count(), 1, "a commit is queued once: {listed}");

    let told = [first, second].map(|commit| commit.archive_digest);
    assert!(told.iter().all(|digest| listed.contains(digest)), "{told:?} in {listed}");
    assert_eq!(page_status(&pages[0], "/elsewhere"), Some(404));
    for mut page in pages {
        page.process.stop();
    }
}

/// A folder with everything that one test starts, on ports of its own.
struct Site {
    folder: TempDir,
    database_port: u16,
    git_port: u16,
}

/// A running page.
struct Page {
    process: Process,
    port: u16,
}

struct Commit {
    hash: String,
    archive_digest: String,
}

impl Commit {
    /// The beginning of this commit's row, and the end of it in a state.
    fn row(&self, state: &str) -> [String; 2] {
        [format!("<td>{}</td>", self.hash), format!("<td>{state}</td><td>")]
    }
}

impl Site {
    fn new() -> Self {
        let site = Self {
            folder: tempfile::Builder::new().prefix("deployix-test-hydra-").tempdir().unwrap(),
            database_port: free_port(),
            git_port: free_port(),
        };
        // Copied to where the programs' user may read, which the clone need not be.
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/hydra");
        run(Command::new("cp").arg("-r").arg(example).arg(site.path("shipped")));
        if site.is_root() {
            chown(site.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn is_root(&self) -> bool {
        fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
    }

    /// A command of the shipped software, or of the machine's, as a user that is not root, with no more environment than
    /// a unit or a container has.
    fn command(&self, program: &str) -> Command {
        let path = format!("{}:/usr/bin:/bin:{}", self.path("shipped/bin").display(), git_folder());
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.database_port.to_string())
            .env("PGDATABASE", "hydra")
            .env("PGUSER", "hydra")
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null());
        if self.is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn start(&self, program: &str, arguments: &[String]) -> Process {
        Process::start(self.command(program).args(arguments))
    }

    fn start_web(&self) -> Page {
        let port = free_port();
        let arguments = ["--address", "127.0.0.1", "--port", &port.to_string()].map(String::from);
        Page { process: self.start("hydra-web", &arguments), port }
    }

    /// The arguments of a program that follows the repository.
    fn follow(&self, name: &str) -> Vec<String> {
        let mirror = self.path(name).display().to_string();
        ["--repository", &self.repository(), "--mirror", &mirror, "--every", "0.2"]
            .map(String::from)
            .into()
    }

    fn repository(&self) -> String {
        format!("git://127.0.0.1:{}/zalora.git", self.git_port)
    }

    fn initialize_database(&self) {
        let mut command = self.command("hydra-db-init");
        // Those of the client would name the wrong server.
        for variable in ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"] {
            command.env_remove(variable);
        }
        command
            .env("PGDATA", self.path("data"))
            .env("HYDRA_DB_NAME", "hydra")
            .env("HYDRA_DB_USER", "hydra")
            .env("HYDRA_DB_PASSWORD", PASSWORD);
        run(&mut command);
    }

    /// The server with the configuration that is shipped, but for the places.
    fn start_database(&self) -> Process {
        let newest = newest_postgresql();
        let mut command = self.command(newest.join("postgres").to_str().unwrap());
        command.env("PGDATA", self.path("data"));
        command.arg(format!("--config-file={}", self.path("shipped/postgresql.conf").display()));
        for setting in [
            format!("hba_file={}", self.path("shipped/pg_hba.conf").display()),
            format!("port={}", self.database_port),
            "listen_addresses=127.0.0.1".into(),
        ] {
            command.arg("-c").arg(setting);
        }
        Process::start(&mut command)
    }

    fn initialize_repository(&self) {
        run(self
            .command("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(self.path("git/zalora.git")));
    }

    fn start_git(&self) -> Process {
        let folder = self.path("git").display().to_string();
        let git = Process::start(self.command("git").args([
            "daemon",
            "--reuseaddr",
            "--listen=127.0.0.1",
            &format!("--port={}", self.git_port),
            &format!("--base-path={folder}"),
            "--export-all",
            "--enable=receive-pack",
            "--informative-errors",
            &folder,
        ]));
        wait_for("git daemon to listen", || {
            TcpStream::connect(("127.0.0.1", self.git_port)).is_ok()
        });
        git
    }

    /// Clones over the network, commits, pushes over the network.
    fn push_commit(&self, subject: &str) -> Commit {
        let clone = self.path("clone");
        let git = |arguments: &[&str]| {
            run(self.command("git").arg("-C").arg(&clone).args(arguments)).trim().to_owned()
        };
        if !clone.exists() {
            run(self.command("git").args(["clone", "--quiet", &self.repository()]).arg(&clone));
        }
        fs::write(clone.join("changes"), subject).unwrap();
        git(&["add", "changes"]);
        let author = ["-c", "user.name=A Person", "-c", "user.email=person@example.com"];
        git(&[&author[..], &["commit", "--quiet", "--message", subject]].concat());
        git(&["push", "--quiet", "origin", "HEAD:main"]);
        let archive = self.path("archive.tar");
        git(&["archive", "--format=tar", "--output", archive.to_str().unwrap(), "HEAD"]);
        let digest = run(self.command("sha256sum").arg(&archive));
        Commit {
            hash: git(&["rev-parse", "HEAD"]),
            archive_digest: digest.split(' ').next().unwrap().to_owned(),
        }
    }
}

/// A program that is stopped when the test ends, however it ends.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test")),
        )
    }

    fn stop(&mut self) {
        self.stop_with("TERM");
    }

    /// Asks it to end, which it does in good order and soon.
    fn stop_with(&mut self, signal: &str) {
        run(Command::new("kill").args([format!("-{signal}"), self.0.id().to_string()]));
        let mut ended = None;
        wait_for("a program to stop", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.code()), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: what is killed, such as `git` running `git-daemon`, leaves its children behind.
        let asked =
            Command::new("kill").arg(self.0.id().to_string()).stderr(Stdio::null()).status();
        let begin = Instant::now();
        while asked.is_ok() && begin.elapsed() < Duration::from_secs(5) {
            if self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where the `git` of this machine is, which may be elsewhere than Debian's.
fn git_folder() -> String {
    let found = run(Command::new("sh").args(["-c", "dirname \"$(command -v git)\""]));
    found.trim().to_owned()
}

fn newest_postgresql() -> PathBuf {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("Debian's PostgreSQL; run scripts/test");
    let newest = versions.max_by_key(|version| {
        let name = version.as_ref().unwrap().file_name();
        name.to_str().and_then(|name| name.parse::<u32>().ok())
    });
    newest.unwrap().unwrap().path().join("bin")
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < Duration::from_secs(40), "waited too long for {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Waits for a line of the page that begins and ends as given, and gives the whole page.
fn wait_for_page(page: &Page, [begin, end]: &[String; 2]) -> String {
    let mut shown = String::new();
    wait_for(&format!("{begin} .. {end}"), || {
        shown = get(page.port, "/").map(|(_, text)| text).unwrap_or_default();
        shown.lines().any(|line| line.contains(begin) && line.contains(end))
    });
    shown
}

fn page_status(page: &Page, path: &str) -> Option<u16> {
    get(page.port, path).ok().map(|(status, _)| status)
}

fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, answer))
}
