//! Surge that nobody answers for: its rollout is gone, or its end came before that of its surge.

mod lab;

use std::process::Stdio;

use domain::event::Event;
use lab::{Lab, configuration, has, until};
use serde_json::Value;

#[test]
fn surge_whose_journal_is_gone_is_named_and_ended_by_the_command_that_is_named() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(3, 20);
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let text = configuration(&lab, "roll", "2", &load, "  risk: 0.01\n");
    let file = lab.write("web.yaml", &text).display().to_string();
    let (code, said) = lab.says(&["doctor", &file]);
    assert!(code == Some(0) && said.contains("orphans of surge"), "{said}");
    assert_eq!(lab.says(&["orphans", &file]).0, Some(0));

    let mut running = lab.presurge(&["apply", "--yes", "--tick", "200ms", &file]);
    let mut running = running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("surge in service", || {
        String::from_utf8_lossy(&lab.run(&["audit", "show", "roll"]).stdout).contains("SurgeJoined")
    });
    running.kill().unwrap();
    running.wait().unwrap();
    // An open rollout answers for it, though nobody drives it.
    let key = lab
        .records("roll#1")
        .iter()
        .find_map(|record| match record.event() {
            Ok(Event::SurgeOrdered { key, .. }) => Some(key.to_string()),
            _ => None,
        })
        .unwrap();
    assert!(!lab.surge_processes().is_empty());
    // Nor are the chains beside those of rollouts any.
    let pin = ["models", "pin", "web", "update", "configured", "--reason", "a test"];
    assert_eq!(lab.says(&pin).0, Some(0));
    assert_eq!(lab.says(&["freeze", "--fleet", "other", "--reason", "a test"]).0, Some(0));
    let (code, said) = lab.says(&["orphans", &file]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = lab.says(&["orphans", &file, "--end", &key]);
    assert!(code == Some(3) && said.contains("no orphan was ordered under"), "{said}");
    assert!(!lab.surge_processes().is_empty(), "it was ended all the same");

    // The store is restored from a copy that is older than the rollout.
    for name in ["presurge.db", "presurge.db-wal", "presurge.db-shm"] {
        let _ = std::fs::remove_file(lab.path(name));
    }
    let (code, said) = lab.says(&["doctor", &file]);
    let named = format!("presurge orphans {file} --end {key}");
    assert!(code == Some(1) && said.contains(&named), "{said}");
    let (code, said) = lab.says(&["orphans", &file, "-o", "json"]);
    assert_eq!(code, Some(1), "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let of = |field: &str| -> Vec<String> {
        let rows = found.as_array().unwrap().iter();
        rows.map(|row| row[field].as_str().unwrap().to_owned()).collect()
    };
    assert!(of("end").iter().all(|end| *end == named), "{found}");
    assert!(of("why").iter().all(|why| why.contains("no rollout of this store")), "{found}");
    // Another rollout says so when it begins, and does not touch it.
    let other = text.replace("name: roll }", "name: other }");
    let other = lab.write("other.yaml", &other).display().to_string();
    let mut begun = lab.presurge(&["apply", "--yes", "--tick", "200ms", &other]);
    let log = std::fs::File::create(lab.path("other.log")).unwrap();
    let mut begun = begun.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let log = || std::fs::read_to_string(lab.path("other.log")).unwrap();
    until("the warning", || log().contains("suspected orphan"));
    // It stands in the journal as well, from which whoever is to be told is told.
    let suspected = || -> Vec<Event> {
        let records = lab.records("other#1");
        let suspected = records.iter().filter(|record| record.kind == "OrphansSuspected");
        suspected.map(|record| record.event().unwrap()).collect()
    };
    until("the record", || !suspected().is_empty());
    let [Event::OrphansSuspected { names }] = &suspected()[..] else { panic!("{:?}", suspected()) };
    assert_eq!(names.len(), of("end").len());
    begun.kill().unwrap();
    begun.wait().unwrap();
    assert!(log().contains(&format!("--end {key}` ends it")), "{}", log());

    let words: Vec<&str> = named.split_whitespace().skip(1).collect();
    let (code, said) = lab.says(&words);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = lab.says(&["orphans", &file]);
    assert_eq!(code, Some(0), "{said}");
    // What is left is the other rollout's own, and goes with it.
    lab.says(&["rollout", "abort", "other"]);
    assert_eq!(lab.says(&["apply", "--yes", "--tick", "200ms", &other]).0, Some(4));
    assert_eq!(lab.surge_processes(), [0; 0]);
}
