//! The main job on real parts: load history and live load from Prometheus, servers behind
//! HAProxy, updates by command, surge as processes, with requests of three seconds under way the
//! whole time. Fast requests would prove nothing: a redispatch hides their loss.

mod lab;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use lab::clients::Clients;
use lab::{Lab, configuration, free_port, get, has, now, until};

/// A Prometheus with three days of history under the name of a recording rule that goes on with
/// what HAProxy really serves.
fn start_prometheus(lab: &mut Lab) -> u16 {
    let mut text = String::from("# TYPE fleet_requests gauge\n");
    let start = (now() - 3 * 86_400) / 60 * 60;
    for at in (start..now() - 30).step_by(60) {
        let _ = writeln!(text, "fleet_requests {} {at}", 4.0 + ((at / 60) % 7) as f64 * 0.05);
    }
    text.push_str("# EOF\n");
    let history = lab.write("history.om", &text);
    let data = lab.path("prometheus");
    let status = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=672h"])
        .args([&history, &data])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    lab.write(
        "rules.yml",
        "groups:\n  - name: lab\n    rules:\n      - record: fleet_requests\n        expr: \
         sum(rate(haproxy_frontend_http_requests_total{proxy=\"web\"}[10s]))\n",
    );
    let config = lab.write(
        "prometheus.yml",
        &format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\n\
             scrape_configs:\n  - job_name: haproxy\n    static_configs: [{{ targets: \
             [\"127.0.0.1:{}\"] }}]\n",
            lab.metrics_port()
        ),
    );
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let (config, data) = (format!("--config.file={config}"), format!("--storage.tsdb.path={data}"));
    lab.start("prometheus", &[&config, &data, &listen, "--storage.tsdb.retention.time=60d"]);
    until("Prometheus has a fresh sample", || {
        let query = "/api/v1/query?query=fleet_requests";
        get(port, query, Duration::from_secs(5)).is_ok_and(|(_, body)| body.contains("\"value\""))
    });
    port
}

#[test]
fn nothing_is_lost_behind_haproxy_with_load_from_prometheus() {
    if !(has("haproxy") && has("prometheus") && has("promtool")) {
        return;
    }
    let mut lab = Lab::new(3, 3_000);
    let clients = Clients::start(lab.front, 12);
    let port = start_prometheus(&mut lab);
    std::thread::sleep(Duration::from_secs(15));
    let load = format!(
        "prometheus: {{ url: \"http://127.0.0.1:{port}\", query: fleet_requests, step: 10s }}"
    );
    // About four requests a second, fewer on a slow machine; three servers of this capacity carry
    // that and two do not.
    let text = configuration(&lab, "main", "2", &load, "  risk: 0.01\n")
        .replace("capacity: { requests: 10 }", "capacity: { requests: 1.6 }")
        .replace("drain: 1s", "drain: 4s");
    let file = lab.write("web.yaml", &text);
    let file = file.to_str().unwrap();
    let planned = lab.run(&["plan", file, "-o", "json"]);
    let shown = String::from_utf8_lossy(&planned.stdout);
    assert!(planned.status.success(), "{shown}{}", String::from_utf8_lossy(&planned.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert!(plan["surge"].as_array().is_some_and(|s| !s.is_empty()), "no surge is bought: {shown}");
    let applied = lab.run(&["apply", "--yes", "--tick", "500ms", file]);
    let story = String::from_utf8_lossy(&applied.stderr).into_owned();
    assert!(applied.status.success(), "{:?}\n{story}", applied.status);
    let (good, bad) = clients.stop();
    assert_eq!(bad, 0, "{good} good requests\n{story}");
    assert!(good > 50, "only {good} requests: the test has lost its eyes");
    for backend in &lab.backends {
        assert_eq!(lab.version_of(backend), "2");
    }
    assert_eq!(lab.surge_processes(), [0; 0]);
    let joined = story.find("in service").expect("surge came into service");
    let out = story.find("draining").expect("servers were drained");
    assert!(joined < out, "surge came after the first drain:\n{story}");
    assert!(lab.run(&["audit", "verify", "main"]).status.success());
    let again = lab.run(&["apply", "--yes", file]);
    assert_eq!(again.status.code(), Some(0), "what is done is not done again");
}
