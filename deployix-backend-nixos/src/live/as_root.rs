//! Root, for whoever may not log in as root.

use std::sync::Arc;

use async_trait::async_trait;
use deployix_transport::{Command, Output, Status, Transport, TransportError, succeed};
use tokio::sync::OnceCell;

/// A host on which everything is done as root: by `sudo`, which may ask for no password, where the
/// user who logs in is somebody else.
#[derive(Debug)]
pub(super) struct AsRoot {
    inner: Arc<dyn Transport>,
    is_root: OnceCell<bool>,
}

impl AsRoot {
    pub(super) fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, is_root: OnceCell::new() }
    }

    async fn ask(&self) -> Result<bool, TransportError> {
        Ok(succeed(&*self.inner, &Command::new("id").arg("-u")).await?.trim_ascii() == b"0")
    }
}

#[async_trait]
impl Transport for AsRoot {
    fn host(&self) -> &str {
        self.inner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, TransportError> {
        if *self.is_root.get_or_try_init(|| self.ask()).await? {
            return self.inner.run(command).await;
        }
        let elevated = command.clone().run_by(["sudo", "--non-interactive", "--"]);
        let output = self.inner.run(&elevated).await?;
        if output.status == Status::new(1) && output.stderr.starts_with(b"sudo: ") {
            let advice = "\nonly root can deploy to NixOS: log in as root, or let this user use sudo \
                          without a password";
            let told = [output.stderr.as_slice(), advice.as_bytes()].concat();
            return Ok(Output::new(output.status, output.stdout, told));
        }
        Ok(output)
    }

    async fn reconnect(&self) -> Result<(), TransportError> {
        self.inner.reconnect().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A host whose user has some id, and which only writes down what it is to run.
    #[derive(Debug)]
    struct Recorded(&'static str, Mutex<Vec<String>>);

    #[async_trait]
    impl Transport for Recorded {
        fn host(&self) -> &str {
            "a host"
        }

        async fn run(&self, command: &Command) -> Result<Output, TransportError> {
            self.1.lock().expect("told").push(command.to_string());
            let asked = command.to_string() == "id -u";
            let (code, told, error) = match self.0 {
                id if asked => (0, id, ""),
                "1001" => (1, "", "sudo: a password is required"),
                _ => (0, "", ""),
            };
            Ok(Output::new(Status::new(code), told, error))
        }

        async fn reconnect(&self) -> Result<(), TransportError> {
            Ok(())
        }
    }

    async fn run_as(id: &'static str) -> (Output, Vec<String>) {
        let recorded = Arc::new(Recorded(id, Mutex::default()));
        let host = AsRoot::new(Arc::clone(&recorded) as Arc<dyn Transport>);
        host.run(&Command::new("true")).await.expect("it runs");
        let output = host.run(&Command::new("ls").arg("a b")).await.expect("it runs");
        let told = recorded.1.lock().expect("told").clone();
        (output, told)
    }

    #[tokio::test]
    async fn root_runs_commands_itself_and_is_asked_once() {
        assert_eq!(run_as("0\n").await.1, ["id -u", "true", "ls 'a b'"]);
    }

    #[tokio::test]
    async fn others_run_them_by_sudo() {
        let sudo =
            ["id -u", "sudo --non-interactive -- true", "sudo --non-interactive -- ls 'a b'"];
        assert_eq!(run_as("1000").await.1, sudo);
    }

    #[tokio::test]
    async fn who_may_not_use_sudo_is_told_what_to_do() {
        let (output, _) = run_as("1001").await;
        assert!(output.last_words().contains("log in as root, or let this user use sudo"));
    }
}
