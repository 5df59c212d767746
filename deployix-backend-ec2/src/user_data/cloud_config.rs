//! cloud-init's `#cloud-config`, the modules of it that a machine here needs.

use base64::Engine;
use deployix_core::AbsolutePath;

use super::{text::Text, yaml::Node};

/// What cloud-init does at a machine's first boot.
///
/// Files are written early, before packages are installed; commands run last, in order (cloud-init's
/// documentation, "Boot stages").
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CloudConfig {
    /// The machine's name; that which AWS gave it where nothing is said.
    pub hostname: Option<String>,
    /// Commands to run at every boot before anything else.
    pub early_commands: Vec<Vec<String>>,
    /// Debian packages to install from where the image gets its own, without those that they only
    /// recommend.
    pub packages: Vec<String>,
    /// Files to write, owned by root.
    pub files: Vec<WriteFile>,
    /// Commands to run, each as its arguments, without a shell.
    pub commands: Vec<Vec<String>>,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteFile {
    /// Where.
    pub path: AbsolutePath,
    /// Its permission bits.
    pub mode: u32,
    /// Whether it is added at the end of what is there.
    pub append: bool,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text, maybe with holes.
    Text(Text),
    /// Any bytes.
    Bytes(Vec<u8>),
}

impl CloudConfig {
    /// Prints it as user data.
    #[must_use]
    pub fn print(&self) -> Text {
        let mut entries = Vec::new();
        if let Some(hostname) = &self.hostname {
            entries.push(("hostname", Node::text(hostname)));
        }
        // cloud-init would otherwise write its own lines over those added here at every boot.
        entries.push(("manage_etc_hosts", Node::Bool(false)));
        if !self.early_commands.is_empty() {
            entries.push(("bootcmd", commands(&self.early_commands)));
        }
        if !self.packages.is_empty() {
            entries.push(("apt", apt()));
            entries.push(("package_update", Node::Bool(true)));
            let packages = self.packages.iter().map(|package| Node::text(package));
            entries.push(("packages", Node::List(packages.collect())));
        }
        if !self.files.is_empty() {
            let files = self.files.iter().map(WriteFile::node);
            entries.push(("write_files", Node::List(files.collect())));
        }
        if !self.commands.is_empty() {
            entries.push(("runcmd", commands(&self.commands)));
        }
        let mut text = Text::from("#cloud-config\n");
        text.append(&Node::Map(entries).print());
        text
    }
}

fn commands(commands: &[Vec<String>]) -> Node {
    let command =
        |words: &Vec<String>| Node::List(words.iter().map(|word| Node::text(word)).collect());
    Node::List(commands.iter().map(command).collect())
}

fn apt() -> Node {
    Node::Map(vec![("conf", Node::text("APT::Install-Recommends \"false\";"))])
}

impl WriteFile {
    fn node(&self) -> Node {
        let mut entries = vec![
            ("path", Node::text(self.path.as_str())),
            // A string, since YAML 1.1 and 1.2 read octal numbers differently.
            ("permissions", Node::Text(Text::from(format!("{:04o}", self.mode)))),
        ];
        if self.append {
            entries.push(("append", Node::Bool(true)));
        }
        match &self.content {
            Content::Text(text) => entries.push(("content", Node::Text(text.clone()))),
            Content::Bytes(bytes) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
                entries.push(("encoding", Node::text("b64")));
                entries.push(("content", Node::Text(Text::from(encoded))));
            }
        }
        Node::Map(entries)
    }
}

impl From<&[u8]> for Content {
    /// Text where the bytes are text, so that people can read it.
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(Text::from(text)),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_prints_as_cloud_init_reads_it() {
        let path = |text| AbsolutePath::new(text).unwrap();
        let config = CloudConfig {
            hostname: Some("epsilon1".into()),
            early_commands: Vec::new(),
            packages: vec!["git".into()],
            files: vec![
                WriteFile {
                    path: path("/etc/a"),
                    mode: 0o600,
                    append: false,
                    content: Content::from(b"\xff".as_slice()),
                },
                WriteFile {
                    path: path("/etc/hosts"),
                    mode: 0o644,
                    append: true,
                    content: Content::from(b"a\nb\n".as_slice()),
                },
            ],
            commands: vec![vec!["systemctl".into(), "daemon-reload".into()]],
        };
        let expected = r##"#cloud-config
hostname: "epsilon1"
manage_etc_hosts: false
apt:
  conf: "APT::Install-Recommends \"false\";"
package_update: true
packages:
  - "git"
write_files:
  - path: "/etc/a"
    permissions: "0600"
    encoding: "b64"
    content: "/w=="
  - path: "/etc/hosts"
    permissions: "0644"
    append: true
    content: |
      a
      b
runcmd:
  - ["systemctl", "daemon-reload"]
"##;
        assert_eq!(config.print().as_known(), Some(expected));
    }
}
