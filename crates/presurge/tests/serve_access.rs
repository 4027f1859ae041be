//! `presurge serve`: who may do what, and permits for other people's updaters.

mod lab;

use std::collections::BTreeMap;
use std::process::Stdio;

use lab::daemon::{Answer, Daemon, converse};
use lab::{Lab, configuration, has};
use serde_json::{Value, json};

/// Four servers that carry 40 together, under a load of 12 to 13: two may be missing, three may not.
fn fleet() -> (Lab, String) {
    let lab = Lab::new(4, 20);
    let load = lab.write_history(12.0, 60, 3);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let rules = "  risk: 0.01\n  batch: { maxUnavailable: 3 }\n";
    let text = configuration(&lab, "patch", "2", &load, rules);
    let text = text.replace("step: 1s", "step: 1m").replace("deadline: 20m", "deadline: 2h");
    let text =
        text.replace("metadata: { name: web }", "metadata: { name: web, labels: { app: web } }");
    let file = lab.write("web.yaml", &text).display().to_string();
    (lab, file)
}

fn daemon(lab: &Lab, file: &str, more: &[&str]) -> Daemon {
    let mut words = vec!["serve", file, "--listen", "127.0.0.1:0"];
    words.extend(more);
    Daemon::start(lab.presurge(&words), lab.path("daemon.log"))
}

/// A token of each role, and the file that lets them in.
fn tokens(lab: &Lab) -> (BTreeMap<&'static str, String>, String) {
    let (mut tokens, mut file) = (BTreeMap::new(), String::from("tokens:\n"));
    for role in ["viewer", "permit", "operator", "approver", "admin", "other"] {
        let known = if role == "other" { "admin" } else { role };
        let made = lab.run(&["token", &format!("{role}-bot"), "--role", known]);
        assert!(made.status.success());
        tokens.insert(role, String::from_utf8(made.stdout).unwrap().trim().to_owned());
        let said = String::from_utf8(made.stderr).unwrap();
        let line = said.lines().find(|line| line.starts_with("  - {")).unwrap();
        let scope = if role == "other" { ",\"fleets\":{\"app\":\"db\"}}" } else { "}" };
        file += &(line.strip_suffix('}').unwrap().to_owned() + scope + "\n");
    }
    (tokens, lab.write("tokens.yaml", &file).display().to_string())
}

#[test]
fn every_route_asks_for_a_token_and_a_role_that_may() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet();
    let (tokens, path) = tokens(&lab);
    let daemon = daemon(&lab, &file, &["--tokens", &path]);
    let ask = |method: &str, path: &str, token: Option<&str>, body: &str| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        daemon.ask(method, path, &headers, body)
    };
    let document = ask("GET", "/v1/openapi.json", None, "").json();
    let mut seen = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let right = operation["x-presurge-right"].as_str().unwrap_or("nobody").to_owned();
            let method = method.to_uppercase();
            let path = path.replace("{name}", "patch").replace("{lease}", "permit%2F1");
            let path = path.replace("{fleet}", "web");
            // It says nothing that could be done, so that who may is told so by something else.
            let body = if method == "POST" { "{\"no\": 1}" } else { "" };
            if path.ends_with("/events") {
                continue;
            }
            *seen.entry(right.clone()).or_insert(0) += 1;
            let status = |token: Option<&str>| ask(&method, &path, token, body).status;
            if right == "nobody" {
                assert!(method == "GET" && status(None) == 200, "{method} {path}");
                continue;
            }
            assert_eq!(status(None), 401, "{method} {path} without a token");
            assert_eq!(status(Some("presurge_0123")), 401, "{method} {path} with any token");
            assert!(method == "GET" || right != "read", "{method} {path} only needs to read");
            for (role, token) in &tokens {
                let may = match right.as_str() {
                    "read" => true,
                    "permit" => matches!(*role, "permit" | "operator" | "admin" | "other"),
                    "operate" => matches!(*role, "operator" | "admin" | "other"),
                    "approve" => matches!(*role, "approver" | "admin" | "other"),
                    right => panic!("{right}"),
                };
                let status = status(Some(token));
                let fits = if may { status != 401 && status != 403 } else { status == 403 };
                // Of a fleet that it has nothing to do with nothing is told.
                assert!(
                    fits || *role == "other" && status == 403,
                    "{method} {path} {role}: {status}"
                );
            }
        }
    }
    assert!(seen["operate"] >= 6 && seen["approve"] == 1 && seen["permit"] >= 4, "{seen:?}");

    // A document may name commands that run here.
    let text = std::fs::read_to_string(&file).unwrap();
    let rollout = text.split("---\n").nth(1).unwrap().replace("patch", "posted");
    let post = |role: &str| {
        let bearer = format!("Bearer {}", tokens[role]);
        let headers = [("content-type", "application/yaml"), ("authorization", &*bearer)];
        daemon.ask("POST", "/v1/plans", &headers, &rollout).status
    };
    assert_eq!((post("operator"), post("other")), (403, 403));
    assert_eq!(post("admin"), 200);
    // Another fleet's token sees nothing of this one.
    let wish = json!({ "fleet": "web", "for": "10m", "reason": "x" }).to_string();
    assert_eq!(ask("POST", "/v1/permits", Some(&tokens["other"]), &wish).status, 403);
    let granted = ask("POST", "/v1/permits", Some(&tokens["permit"]), &wish);
    assert_eq!(granted.status, 200, "{granted:?}");
    let seen = |role: &str| {
        ask("GET", "/v1/permits", Some(&tokens[role]), "").json()["permits"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((seen("viewer"), seen("other")), (1, 0));
    let permits = lab.records("presurge#permits");
    assert_eq!(permits[0].actor.0, "operator:permit-bot");
    let scope = lab.says(&["audit", "export", "presurge#permits"]).1;
    for (role, token) in &tokens {
        assert!(!daemon.said().contains(token.as_str()), "the token of {role} is in the log");
        assert!(!scope.contains(token.as_str()), "the token of {role} is in the journal");
    }
}

/// A certificate of its own for loopback.
fn certify(cert: &std::path::Path, key: &std::path::Path) {
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let name = ["-days", "2", "-subj", "/CN=presurge", "-addext", "subjectAltName=IP:127.0.0.1"];
    let own = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let mut made = std::process::Command::new("openssl");
    made.args(["req", "-x509"])
        .args(curve)
        .args(name)
        .args(own)
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(cert);
    assert!(made.stderr(Stdio::null()).status().unwrap().success());
}

#[test]
fn others_than_this_machine_are_answered_with_tokens_and_tls_alone() {
    if !has("haproxy") || !has("openssl") {
        return;
    }
    let (lab, file) = fleet();
    let (tokens, path) = tokens(&lab);
    let (cert, key) = (lab.path("cert.pem"), lab.path("key.pem"));
    certify(&cert, &key);
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let tls = ["--tls-cert", cert.as_str(), "--tls-key", key.as_str()];
    for more in [vec![], vec!["--tokens", &path], tls.to_vec()] {
        let mut words = vec!["serve", file.as_str(), "--listen", "0.0.0.0:0"];
        words.extend(more);
        let (code, said) = Daemon::refused(lab.presurge(&words), lab.path("daemon.log"));
        assert!(code == Some(64) && said.contains("--tls-cert, --tls-key and --tokens"), "{said}");
    }
    let (code, said) = lab.says(&["serve", &file, "--tls-cert", &file, "--tls-key", &key]);
    assert!(code == Some(65) && said.contains("web.yaml"), "{said}");
    let mut words = vec!["--tokens", path.as_str()];
    words.extend(tls);
    let daemon = daemon(&lab, &file, &words);
    let curl = |more: &[&str]| {
        let url = format!("https://127.0.0.1:{}/v1/rollouts", daemon.port);
        let mut curl = std::process::Command::new("curl");
        curl.args(["-s", "--cacert", &cert, "-o", "/dev/null", "-w", "%{http_code}"]);
        String::from_utf8(curl.args(more).arg(url).output().unwrap().stdout).unwrap()
    };
    if has("curl") {
        assert_eq!(curl(&[]), "401");
        let bearer = format!("Authorization: Bearer {}", tokens["viewer"]);
        assert_eq!(curl(&["-H", &bearer]), "200");
    }
    // So asks the command line of another machine.
    let list = |more: &[&str]| {
        let place = format!("https://127.0.0.1:{}", daemon.port);
        let mut words = vec!["rollout", "list", "--daemon", &place];
        words.extend(more);
        lab.says(&words)
    };
    let token = lab.write("token", &format!("{}\n", tokens["viewer"])).display().to_string();
    let trusted = ["--daemon-ca", cert.as_str(), "--token-file", &token];
    assert_eq!(list(&trusted).0, Some(0), "{}", list(&trusted).1);
    let (code, said) = list(&trusted[..2]);
    assert!(code == Some(1) && said.contains("say who you are"), "{said}");
    let (code, said) = list(&trusted[2..]);
    assert!(code == Some(1) && said.contains("does not answer"), "nobody vouches: {said}");
    let (code, said) = list(&["--daemon-ca", &file]);
    assert!(code == Some(64) && said.contains("there is no certificate in it"), "{said}");
    // A certificate that is renewed is shown without a new start.
    certify(&lab.path("next.pem"), &lab.path("next.key"));
    std::fs::rename(lab.path("next.key"), &key).unwrap();
    lab::until("they do not go together", || daemon.said().contains("the certificate from before"));
    std::fs::rename(lab.path("next.pem"), &cert).unwrap();
    lab::until("the next one is shown", || list(&trusted).0 == Some(0));
    assert!(daemon.said().contains("the certificate: others are in force"), "{}", daemon.said());
    // Without TLS nothing is said there.
    assert!(
        lab::daemon::ask(daemon.port, "GET", "/healthz", &[], "").map_or(true, |a| a.status == 0)
    );
}

#[test]
fn a_socket_in_the_file_system_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet();
    let path = lab.path("api.sock");
    let place = format!("unix:{}", path.display());
    let start = || {
        let mut command = lab.presurge(&["serve", &file, "--listen", &place]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut child = start();
    let ask = || {
        let stream = std::os::unix::net::UnixStream::connect(&path)?;
        converse(stream, "GET", "/healthz", &[], "")
    };
    lab::until("it answers", || ask().is_ok_and(|answer| answer.status == 200));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // What one that was killed has left behind is no obstacle.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(path.exists());
    let mut child = start();
    lab::until("it answers again", || ask().is_ok_and(|answer| answer.status == 200));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(!path.exists(), "it is tidied up");
}

fn wish(count: u32) -> Value {
    json!({ "fleet": "web", "count": count, "for": "10m", "reason": "a patch" })
}

#[test]
fn permits_are_granted_or_refused_with_a_reason_and_a_time_to_ask_again() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet();
    let daemon = daemon(&lab, &file, &[]);
    let key = [("content-type", "application/json"), ("idempotency-key", "one")];
    let ask = |daemon: &Daemon| daemon.ask("POST", "/v1/permits", &key, &wish(1).to_string());
    let granted = ask(&daemon);
    assert_eq!(granted.status, 200, "{granted:?}");
    let lease = granted.json()["lease"].as_str().unwrap().to_owned();
    assert_eq!(ask(&daemon).text, granted.text, "the same request has one answer");
    let refused = daemon.post("/v1/permits", &wish(3));
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("maxUnavailable"), "{refused:?}");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(refused.json()["granted"], false);
    let path = format!("/v1/permits/{}", lease.replace('/', "%2F"));
    let renewed = daemon.post(&format!("{path}/renew"), &json!({ "for": "20m" }));
    assert!(renewed.status == 200 && renewed.json()["lease"] == lease.as_str(), "{renewed:?}");
    assert_eq!(daemon.get("/v1/permits").json()["permits"].as_array().unwrap().len(), 1);
    drop(daemon);
    // Another process that does not remember the answer finds the permit in its journal.
    let daemon = self::daemon(&lab, &file, &[]);
    assert_eq!(ask(&daemon).json()["lease"], lease.as_str());
    let given = daemon.post(&format!("{path}/release"), &json!({}));
    assert!(given.status == 200 && given.json()["released"].is_string(), "{given:?}");
    assert_eq!(daemon.get("/v1/permits").json()["permits"], json!([]));
    assert_eq!(daemon.post(&format!("{path}/renew"), &json!({ "for": "20m" })).status, 409);
    assert_eq!(daemon.post("/v1/permits/permit%2F99/release", &json!({})).status, 404);
    // Its number names it as well.
    let number = lease.split('/').nth(1).unwrap();
    let again = daemon.post(&format!("/v1/permits/{number}/release"), &json!({}));
    assert_eq!(again.json()["lease"], lease.as_str(), "{again:?}");
    for (body, status) in [
        (json!({ "fleet": "db", "for": "10m", "reason": "x" }), 404),
        (json!({ "fleet": "web", "for": "2d", "reason": "x" }), 422),
        (json!({ "fleet": "web", "for": "10m", "reason": " " }), 422),
        (json!({ "fleet": "web", "for": "10m", "reason": "x", "count": 0 }), 422),
        (json!({ "fleet": "web", "for": "10m", "reason": "x", "servers": ["web-9"] }), 422),
        (json!({ "fleet": "web", "for": "10m", "reason": "x", "rollout": "no" }), 422),
    ] {
        assert_eq!(daemon.post("/v1/permits", &body).status, status, "{body}");
    }
    assert_eq!(lab.says(&["audit", "verify", "presurge#permits"]).0, Some(0));
}

#[test]
fn who_asks_at_the_same_time_is_not_granted_more_than_one_after_the_other() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet();
    let daemon = daemon(&lab, &file, &[]);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asks: Vec<_> =
            (0..6).map(|_| scope.spawn(|| daemon.post("/v1/permits", &wish(1)))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // Two out leave twenty for twelve; the third would leave ten.
    assert_eq!((count(200), count(409)), (2, 4), "{answers:?}");
}

/// What Flagger posts before it begins to shift traffic to a canary, and what it takes for an answer:
/// 200 lets it go on, anything else lets it wait and ask again.
#[test]
fn flagger_waits_for_leave_to_roll_out() {
    if !has("haproxy") {
        return;
    }
    let (lab, file) = fleet();
    let daemon = daemon(&lab, &file, &[]);
    let ask = |phase: &str, checksum: &str| {
        let body = json!({
            "name": "web", "namespace": "shop", "phase": phase, "checksum": checksum,
            "metadata": { "for": "20m", "count": "2" },
        });
        daemon.post("/v1/hooks/flagger/web", &body)
    };
    let freeze = ["freeze", "--all", "--reason", "an incident"];
    assert_eq!(lab.says(&freeze).0, Some(0));
    let waits = ask("Progressing", "85d557f47b");
    assert_eq!(waits.status, 409, "{waits:?}");
    assert!(waits.json()["detail"].as_str().unwrap().contains("an incident"), "{waits:?}");
    assert_eq!(lab.says(&["unfreeze", "--all", "--reason", "it is over"]).0, Some(0));
    let goes = ask("Waiting", "85d557f47b");
    assert_eq!(goes.status, 200, "{goes:?}");
    // It asks every few seconds: what it was granted counts once.
    assert_eq!(ask("Progressing", "85d557f47b").json()["lease"], goes.json()["lease"]);
    let records = lab.records("presurge#permits");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].reason, "flagger: shop/web 85d557f47b");
    // Another revision is another matter: with two out there is no room for two more.
    assert_eq!(ask("Progressing", "6f8b9d7c55").status, 409);
}
