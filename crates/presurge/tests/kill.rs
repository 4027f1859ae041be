//! `kill -9` at random moments of `apply`: it goes on, buys nothing twice, updates nobody twice,
//! leaves nothing behind, and cuts none of the requests of three seconds that are under way. `PRESURGE_KILLS` sets how many kills (25 unless given).

mod lab;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use domain::event::Event;
use domain::plan::Plan;
use lab::clients::Clients;
use lab::{Lab, configuration, has};

/// A small stream of numbers from a seed (SplitMix64, Steele, Lea and Flood 2014).
struct Moments(u64);

impl Moments {
    fn next(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % most
    }
}

#[test]
fn killed_at_random_moments_it_always_ends_well() {
    if !has("haproxy") {
        return;
    }
    let wanted: u32 =
        std::env::var("PRESURGE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let lab = Lab::new(3, 3_000);
    let clients = Clients::start(lab.front, 12);
    assert!(lab.run(&["audit", "key", &path(&lab, "key")]).status.success());
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let mut moments = Moments(20_261_124);
    let (mut kills, mut rollout) = (0, 1);
    while kills < wanted {
        rollout += 1;
        assert!(rollout < 200, "{kills} kills in {rollout} rollouts: they end too soon to be hit");
        let (name, version) = (format!("roll-{rollout}"), rollout.to_string());
        let text = configuration(&lab, &name, &version, &load, "  risk: 0.01\n")
            .replace("drain: 1s", "drain: 4s");
        let file = lab.write("web.yaml", &text);
        kills += perform(&lab, file.to_str().unwrap(), &mut moments, wanted - kills);
        judge(&lab, &name, &version);
        replay(&lab, &name, &file);
    }
    let (good, bad) = clients.stop();
    assert_eq!(bad, 0, "{good} good requests");
    assert!(good > 50, "only {good} requests: the test has lost its eyes");
    let (name, file) = (format!("roll-{rollout}"), path(&lab, "web.yaml"));
    let said = forge(&lab, &name, &file, |plan| plan.risk.planned += 0.001);
    assert!(said.contains("is not the one that was made"), "{said}");
    let said = forge(&lab, &name, &file, |plan| plan.digest = plan.computed_digest());
    assert!(said.contains("/risk/planned: ") && said.contains("comes out"), "{said}");
    eprintln!("{kills} kills in {} rollouts, {good} requests, {bad} failed", rollout - 1);
}

#[test]
fn a_rollout_goes_on_where_its_anchors_cannot_be_written() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(3, 20);
    assert!(lab.run(&["audit", "key", &path(&lab, "key")]).status.success());
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let apply = |version: &str, anchors: &str, key: &str| {
        let name = format!("roll-{version}");
        let text = configuration(&lab, &name, version, &load, "  risk: 0.01\n");
        let file = lab.write("web.yaml", &text).display().to_string();
        let key = path(&lab, key);
        let args = ["apply", "--yes", "--tick", "200ms", &file, "--anchors", anchors];
        let output = lab.presurge(&args).args(["--anchor-key", &key]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, story) = apply("2", "/dev/full", "key");
    assert!(code == Some(0) && out.is_empty(), "{out}{story}");
    assert_eq!(story.matches("anchors cannot be written").count(), 1, "{story}");
    // What was missed is made up for when it is called again.
    let (code, out, story) = apply("2", "-", "key");
    assert!(code == Some(0) && story.contains("is done already"), "{story}");
    lab.write("anchors", &out);
    assert_eq!(out.lines().count(), 1, "{out}");
    let (code, out, story) = apply("3", "-", "key");
    assert!(code == Some(0) && out.lines().count() >= 3, "{out}{story}");
    let anchors = std::fs::read_to_string(lab.path("anchors")).unwrap() + &out;
    lab.write("anchors", &anchors);
    judge(&lab, "roll-2", "3");
    judge(&lab, "roll-3", "3");
    // A key that cannot sign is told before anything is done.
    let (code, _, story) = apply("4", "-", "key.pub");
    assert!(code == Some(65) && story.contains("no Ed25519 PRIVATE KEY"), "{story}");
    assert!(!lab.run(&["audit", "verify", "roll-4"]).status.success());
}

/// Applies until it is done, killing up to `most` times on the way. Returns the number of kills.
fn perform(lab: &Lab, file: &str, moments: &mut Moments, most: u32) -> u32 {
    let mut kills = 0;
    loop {
        let mut apply = lab
            .presurge(&["apply", "--yes", "--tick", "200ms", "--lease", "1s", file])
            .args(["--anchors", &path(lab, "anchors"), "--anchor-key", &path(lab, "key")])
            .args(["--anchor-every", "5"])
            .stderr(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(lab.path("apply.log"))
                    .unwrap(),
            )
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if kills < most {
            std::thread::sleep(Duration::from_millis(100 + moments.next(4_000)));
            if apply.try_wait().unwrap().is_none() {
                apply.kill().unwrap();
                kills += 1;
            }
        }
        let status = apply.wait().unwrap();
        if status.code().is_some() {
            let log = std::fs::read_to_string(lab.path("apply.log")).unwrap();
            assert!(status.success(), "{status}\n{log}");
            return kills;
        }
    }
}

fn judge(lab: &Lab, name: &str, version: &str) {
    for backend in &lab.backends {
        assert_eq!(lab.version_of(backend), version, "{}", backend.name);
    }
    let updates = lab.updates(version);
    assert!(updates.iter().all(|(_, n)| *n == 1), "{name}: updated twice or never: {updates:?}");
    assert_eq!(lab.surge_processes(), [0; 0], "{name}: orphans");
    let (anchors, key) = (path(lab, "anchors"), path(lab, "key.pub"));
    let verified = lab.run(&["audit", "verify", name, "--anchors", &anchors, "--public-key", &key]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert!(said.contains("the journal is whole"), "{said}");
}

/// The first plan comes out again from the archive, and not from another configuration.
fn replay(lab: &Lab, name: &str, file: &Path) {
    let file = file.to_str().unwrap();
    let again =
        |seq: &str, config: &str| lab.says(&["audit", "replay", name, seq, "--config", config]);
    // The load that has come since then, and a file that is gone, are nothing to the archive.
    std::fs::rename(lab.path("load.csv"), lab.path("load.away")).unwrap();
    let (code, said) = again("2", file);
    std::fs::rename(lab.path("load.away"), lab.path("load.csv")).unwrap();
    assert!(code == Some(0) && said.contains("the same plan, to the last digit"), "{said}");
    let (code, said) = again("3", file);
    assert!(
        code == Some(64)
            && said.contains(
                "record 3 adopts no plan and opens no batch; these can be computed again: 2"
            ),
        "{said}"
    );
    let other = std::fs::read_to_string(file).unwrap().replace("risk: 0.01", "risk: 0.02");
    let other = lab.write("other.yaml", &other);
    let (code, said) = again("2", other.to_str().unwrap());
    assert!(code == Some(65) && said.contains("not the one that the plan was made from"), "{said}");
}

/// Somebody who holds the store changes the first plan, and computes the whole
/// chain anew. In itself it is whole; the anchors and the archive know better.
fn forge(lab: &Lab, name: &str, file: &str, change: fn(&mut Plan)) -> String {
    lab.forge(&format!("{name}#1"), 2, |record| {
        let Event::PlanAdopted { mut plan } = record.event().unwrap() else { panic!("no plan") };
        change(&mut plan);
        record.payload = Event::PlanAdopted { plan }.to_parts().1;
    });
    let (anchors, key) = (path(lab, "anchors"), path(lab, "key.pub"));
    let (code, said) =
        lab.says(&["audit", "verify", name, "--anchors", &anchors, "--public-key", &key]);
    assert!(code == Some(65) && said.contains("computed anew"), "{said}");
    let (code, said) = lab.says(&["audit", "replay", name, "2", "--config", file]);
    assert_ne!(code, Some(0), "{said}");
    said
}

fn path(lab: &Lab, name: &str) -> String {
    lab.path(name).display().to_string()
}
