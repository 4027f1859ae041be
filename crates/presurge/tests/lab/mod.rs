//! A fleet of real server processes behind a real HAProxy, in a folder of its own, on loopback.
//! Everything that is started is stopped by process id when the lab is dropped.
#![allow(dead_code, reason = "each test file uses a part of the lab")]

pub mod clients;
pub mod daemon;
#[path = "../../../adapters/src/free_port.rs"]
mod free_port;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::journal::Record;

pub use self::free_port::free_port;

/// The program under test.
pub const PRESURGE: &str = env!("CARGO_BIN_EXE_presurge");

/// Whether a program is on the PATH (or where Debian puts servers). Says so when it is not.
pub fn has(program: &str) -> bool {
    let found = where_is(program).is_some();
    if !found {
        eprintln!("skipped: {program} is not on the PATH; `scripts/test` installs it");
    }
    found
}

fn where_is(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "a test of real parts runs in real time")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Waits until something is so, with a generous limit.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("waited a minute for: {what}");
}

/// The records of the chain whose name is the first parameter.
const OF_CHAIN: &str = "rollout = (SELECT id FROM rollout WHERE name = ?1)";

/// One server of the fleet.
pub struct Backend {
    pub name: String,
    pub port: u16,
}

/// See the module.
pub struct Lab {
    folder: tempfile::TempDir,
    pub backends: Vec<Backend>,
    pub front: u16,
    /// Where surge may listen.
    ports: String,
    children: Vec<Child>,
}

impl Lab {
    /// A fleet of `count` servers at version 1 behind HAProxy. Each request takes `service_ms`.
    pub fn new(count: usize, service_ms: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("presurge-lab-").tempdir().unwrap();
        let backends =
            (1..=count).map(|n| Backend { name: format!("web-{n}"), port: free_port() }).collect();
        let (front, ports) = (free_port(), free_port::port_range(50));
        let mut lab = Self { folder, backends, front, ports, children: Vec::new() };
        fs::create_dir(lab.path("run")).unwrap();
        lab.write_update(service_ms);
        for n in 1..=count {
            lab.update_by_hand(&format!("web-{n}"), "1");
        }
        fs::remove_file(lab.path("updates")).unwrap();
        lab.start_haproxy();
        lab
    }

    /// A path in the folder of the lab.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder of the lab.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The same for a file that can be executed.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The update: stop the old process, start the new one, write down what runs. Every start is
    /// a line in the file `updates`.
    fn write_update(&self, service_ms: u32) {
        let mut ports = String::new();
        for backend in &self.backends {
            let _ = writeln!(ports, "  {}) port={} ;;", backend.name, backend.port);
        }
        let folder = self.folder.path().display();
        let script = format!(
            "#!/bin/sh\nset -e\nserver=$1 version=$2 run={folder}/run\n\
             echo \"$server $version\" >>{folder}/updates\n\
             case $server in\n{ports}esac\n\
             if [ -e $run/$server.pid ]; then\n\
             \x20 kill $(cat $run/$server.pid) 2>/dev/null || true\n\
             \x20 while kill -0 $(cat $run/$server.pid) 2>/dev/null; do sleep 0.05; done\n\
             fi\n\
             setsid {PRESURGE} lab-server --listen 127.0.0.1:$port --version \"$version\" \\\n\
             \x20 --workers 64 --service {service_ms}ms </dev/null >$run/$server.log 2>&1 &\n\
             echo $! >$run/$server.pid\nsleep 0.3\necho \"$version\" >$run/$server.version\n"
        );
        self.script("update", &script);
    }

    /// From now on a server cannot be updated to a version.
    pub fn fails(&self, server: &str, version: &str) {
        use std::os::unix::fs::PermissionsExt;
        let real = self.path("update.real");
        fs::rename(self.path("update"), &real).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1 $2\" = \"{server} {version}\" ] && exit 1\nexec {} \"$@\"\n",
            real.display()
        );
        let update = self.write("update", &script);
        fs::set_permissions(update, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn update_by_hand(&self, server: &str, version: &str) {
        let status = Command::new(self.path("update")).args([server, version]).status().unwrap();
        assert!(status.success());
    }

    /// (Re)starts HAProxy, without retries and redispatch: they would hide a kill without drain.
    fn start_haproxy(&mut self) {
        let mut config = format!(
            "global\n  stats socket {} mode 600 level admin\n\
             defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n\
             \x20 timeout server 30s\n  option httpchk GET /health\n  retries 0\n\
             frontend web\n  bind 127.0.0.1:{}\n  default_backend web\n\
             frontend metrics\n  bind 127.0.0.1:{}\n\
             \x20 http-request use-service prometheus-exporter if {{ path /metrics }}\n\
             backend web\n  balance leastconn\n\
             \x20 default-server check inter 200ms rise 1 fall 2 weight 100\n",
            self.path("admin.sock").display(),
            self.front,
            self.metrics_port(),
        );
        for backend in &self.backends {
            let _ = writeln!(config, "  server {} 127.0.0.1:{}", backend.name, backend.port);
        }
        let path = self.write("haproxy.cfg", &config);
        self.start("haproxy", &["-db", "-f", path.to_str().unwrap()]);
        let socket = self.path("admin.sock");
        until("HAProxy sees the fleet", || {
            let asked = self.get("/health", Duration::from_secs(2));
            asked.is_ok() && UnixStream::connect(&socket).is_ok()
        });
    }

    /// Gives HAProxy a command, as an operator does at its socket.
    pub fn tell_haproxy(&self, command: &str) {
        let mut socket = UnixStream::connect(self.path("admin.sock")).unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        assert_eq!(said.trim(), "", "{command}");
    }

    /// Where HAProxy tells its metrics.
    pub fn metrics_port(&self) -> u16 {
        // Any fixed port that this lab owns will do: it is derived once and kept in a file.
        let path = self.path("metrics-port");
        if let Ok(text) = fs::read_to_string(&path) {
            return text.parse().unwrap();
        }
        let port = free_port();
        fs::write(path, port.to_string()).unwrap();
        port
    }

    /// Starts a program that is stopped with the lab.
    pub fn start(&mut self, program: &str, args: &[&str]) {
        let log = fs::File::create(self.path(&format!("{program}.log"))).unwrap();
        let child = Command::new(where_is(program).unwrap())
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.children.push(child);
    }

    /// A request through HAProxy: the status and the body.
    pub fn get(&self, path: &str, limit: Duration) -> Result<(u16, String), std::io::Error> {
        get(self.front, path, limit)
    }

    /// `presurge` with the store of the lab.
    pub fn presurge(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PRESURGE);
        command
            .args(args)
            .env("PRESURGE_STORE", self.path("presurge.db"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs `presurge` to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.presurge(args).output().unwrap()
    }

    /// How often the update of each server was begun.
    pub fn updates(&self, version: &str) -> Vec<(String, usize)> {
        let text = fs::read_to_string(self.path("updates")).unwrap_or_default();
        let count =
            |name: &str| text.lines().filter(|line| *line == format!("{name} {version}")).count();
        self.backends.iter().map(|b| (b.name.clone(), count(&b.name))).collect()
    }

    /// What a server says that it runs.
    pub fn version_of(&self, backend: &Backend) -> String {
        let answer = get(backend.port, "/version", Duration::from_secs(5));
        answer.map(|(_, body)| body.trim().to_owned()).unwrap_or_else(|e| e.to_string())
    }

    /// Processes that were started as surge of this lab, by their environment.
    pub fn surge_processes(&self) -> Vec<u32> {
        let mark = self.folder.path().to_str().unwrap().as_bytes().to_vec();
        let contains = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|w| w == part);
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            contains(&environment, b"PRESURGE_INSTANCE=") && contains(&environment, &mark)
        })
        .collect()
    }

    /// The records of a chain, as the store holds them.
    pub fn records(&self, id: &str) -> Vec<Record> {
        records(&self.path("presurge.db"), id)
    }

    /// See [`forge`].
    pub fn forge(&self, id: &str, seq: u64, change: impl FnOnce(&mut Record)) {
        forge(&self.path("presurge.db"), id, seq, change);
        assert!(self.run(&["audit", "verify", id]).status.success(), "it is whole in itself");
    }

    /// Runs `presurge` to its end: how it ended, and all that it said.
    pub fn says(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// A load history of `days` days up to an hour from now, every `step` seconds, level and
    /// quiet; what lies ahead is the load to come.
    pub fn write_history(&self, level: f64, step: u64, days: u64) -> PathBuf {
        let mut text = String::from("unique_id,ds,y\n");
        let start = (now() - days * 86_400) / step * step;
        for (index, at) in (start..now() + 3_600).step_by(step as usize).enumerate() {
            let wave = ((index * 7919) % 101) as f64 / 101.0 - 0.5;
            let value = level * (1.0 + 0.04 * wave);
            let _ = writeln!(text, "web,{},{value:.4}", rfc3339(at));
        }
        self.write("load.csv", &text)
    }
}

/// The records of a chain, as a store holds them.
pub fn records(store: &Path, id: &str) -> Vec<Record> {
    let store = rusqlite::Connection::open(store).unwrap();
    let sql = format!("SELECT line FROM record WHERE {OF_CHAIN} ORDER BY seq");
    let mut query = store.prepare(&sql).unwrap();
    let lines = query.query_map([id], |row| row.get::<_, String>(0)).unwrap();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

/// Somebody who holds the store changes one record, and computes the chain anew from there on: in
/// itself it is whole.
pub fn forge(store: &Path, id: &str, seq: u64, change: impl FnOnce(&mut Record)) {
    let mut records = records(store, id);
    let store = rusqlite::Connection::open(store).unwrap();
    store.execute_batch("DROP TRIGGER IF EXISTS record_unchanged").unwrap();
    let first = usize::try_from(seq - 1).unwrap();
    change(&mut records[first]);
    for here in first..records.len() {
        if here > 0 {
            records[here].previous = records[here - 1].hash.clone();
        }
        records[here].hash = records[here].computed_hash();
        let line = serde_json::to_string(&records[here]).unwrap();
        let sql = format!("UPDATE record SET line = ?2 WHERE {OF_CHAIN} AND seq = ?3");
        store.execute(&sql, rusqlite::params![id, line, here + 1]).unwrap();
    }
}

/// RFC 3339 in UTC.
pub fn rfc3339(seconds: u64) -> String {
    jiff::Timestamp::from_second(seconds as i64).unwrap().to_string()
}

/// A plain HTTP request: the status and the body.
pub fn get(port: u16, path: &str, limit: Duration) -> Result<(u16, String), std::io::Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let chunked = text.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { body.lines().nth(1).unwrap_or("") } else { body };
    Ok((status, body.to_owned()))
}

fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["haproxy.log", "prometheus.log", "updates"] {
                let text = fs::read_to_string(self.path(log)).unwrap_or_default();
                eprintln!(
                    "--- {log}\n{}",
                    text.lines().rev().take(20).collect::<Vec<_>>().join("\n")
                );
            }
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for pid in self.surge_processes() {
            kill(pid);
        }
        for entry in fs::read_dir(self.path("run")).into_iter().flatten().flatten() {
            let is_pid = entry.path().extension().is_some_and(|e| e == "pid");
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            if let (true, Ok(pid)) = (is_pid, text.trim().parse()) {
                kill(pid);
            }
        }
    }
}

/// A configuration for the lab: one rollout to `version`, load as in `load`.
pub fn configuration(lab: &Lab, name: &str, version: &str, load: &str, rest: &str) -> String {
    let folder: &Path = lab.folder.path();
    let (folder, count) = (folder.display(), lab.backends.len());
    let ports = &lab.ports;
    format!(
        r#"apiVersion: presurge/v1
kind: Fleet
metadata: {{ name: web }}
spec:
  servers: {{ static: {{ prefix: web, count: {count} }} }}
  capacity: {{ requests: 10 }}
  load:
    requests:
      {load}
      staleAfter: 10
  durations: {{ drain: 1s, update: {{ p50: 1s, p95: 2s }}, warmup: 0s }}
  surge:
    provisioner:
      process:
        command: ["{PRESURGE}", lab-server, --listen, "127.0.0.1:{{port}}", --version, old, --workers, "64", --service, 50ms]
        ports: "{ports}"
        env: {{ LAB: "{folder}" }}
    offers:
      - {{ name: local, market: on-demand, capacity: {{ requests: 10 }}, price: 0.10, lead: 2s, max: 4 }}
  traffic: {{ haproxy: {{ socket: "{folder}/admin.sock", backend: web }} }}
  drain: {{ timeout: 60s }}
  update:
    exec:
      command: ["{folder}/update", "{{server}}", "{{version}}"]
      observe: [cat, "{folder}/run/{{server}}.version"]
      timeout: 30s
---
apiVersion: presurge/v1
kind: Rollout
metadata: {{ name: {name} }}
spec:
  fleets: [web]
  target: {{ version: "{version}" }}
  step: 1s
  deadline: 20m
  stabilisation: 2s
{rest}"#
    )
}
