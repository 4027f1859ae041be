//! A daemon that was started for a test, and a plain HTTP client for it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Lab, configuration, until};

/// A fleet of `count` servers that carry 10 each, labelled `app: web`, under a load; its rollout; and their
/// file.
pub fn fleet(count: usize, load: f64, rollout: &str, rest: &str) -> (Lab, String) {
    let lab = Lab::new(count, 20);
    let load = lab.write_history(load, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let text = configuration(&lab, rollout, "2", &load, rest);
    let text =
        text.replace("metadata: { name: web }", "metadata: { name: web, labels: { app: web } }");
    let file = lab.write("web.yaml", &text).display().to_string();
    (lab, file)
}

/// A daemon of a file, on any free port; it looks at its world five times a second.
pub fn daemon(lab: &Lab, file: &str, more: &[&str]) -> Daemon {
    let mut words = vec!["serve", file, "--listen", "127.0.0.1:0", "--tick", "200ms"];
    words.extend(more);
    Daemon::start(lab.presurge(&words), lab.path("daemon.log"))
}

/// See the module.
pub struct Daemon {
    pub child: Child,
    pub port: u16,
    log: PathBuf,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A header, its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Daemon {
    /// Starts a daemon; it says on which port it listens.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let mut daemon = Self { child: child.unwrap(), port: 0, log };
        until("the daemon listens", || {
            let said = daemon.said();
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}\n{said}");
            let port = said.split("listens on 127.0.0.1:").nth(1);
            let port = port.and_then(|rest| rest.split(' ').next()?.parse().ok());
            daemon.port = port.unwrap_or(0);
            daemon.port != 0
        });
        daemon
    }

    /// How one ends that does not begin to listen, and what it says.
    pub fn refused(mut command: Command, log: PathBuf) -> (Option<i32>, String) {
        let file = File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let mut daemon = Self { child: child.unwrap(), port: 0, log };
        let mut ended = None;
        until("the daemon ends", || {
            ended = daemon.child.try_wait().unwrap();
            assert!(!daemon.said().contains("listens on"), "it begins to listen");
            ended.is_some()
        });
        (ended.and_then(|status| status.code()), daemon.said())
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], &body.to_string())
    }

    /// One request, to its end.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        ask(self.port, method, path, headers, body).unwrap_or_else(|e| {
            panic!("{method} {path}: {e}\n{}", self.said());
        })
    }

    /// The events of a stream, as they come, to its end: number, name, and record.
    pub fn events(&self, path: &str, headers: &[(&str, &str)]) -> Vec<(u64, String, Value)> {
        let answer = self.ask("GET", path, headers, "");
        assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{answer:?}");
        let mut events = Vec::new();
        for event in answer.text.split("\n\n").filter(|event| event.contains("data: ")) {
            let field = |name: &str| {
                let line = event.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_else(|| panic!("{event}")).to_owned()
            };
            let data = serde_json::from_str(&field("data: ")).unwrap();
            events.push((field("id: ").parse().unwrap(), field("event: "), data));
        }
        events
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon said\n{}", self.said());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request to a port of this machine.
pub fn ask(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    converse(stream, method, path, headers, body)
}

/// One request over a connection.
pub fn converse(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("content-length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A body that is refused is not read to its end.
    let _ = stream.write_all(body.as_bytes());
    let mut reader = BufReader::new(stream);
    let mut line = || -> std::io::Result<String> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let status = line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked"));
    let bytes = if chunked { dechunked(&mut reader)? } else { all(&mut reader) };
    Ok(Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() })
}

fn all(reader: &mut impl BufRead) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = reader.read_to_end(&mut bytes);
    bytes
}

/// A body that comes in pieces, to its end.
fn dechunked(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Ok(length) = usize::from_str_radix(line.trim(), 16) else { return Ok(bytes) };
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(bytes);
        }
        bytes.extend(&chunk[..length]);
    }
}
