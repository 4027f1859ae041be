//! Servers that Presurge stands on are never taken out.

mod lab;

use std::collections::BTreeSet;

use lab::{Lab, configuration, has};
use serde_json::Value;

/// The configuration of a lab whose fleet has these servers under `self`.
fn written(lab: &Lab, own: &str) -> String {
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    let text = configuration(lab, "roll", "2", &load, "  risk: 0.01\n");
    let text = text.replace("spec:\n  servers:", &format!("spec:\n  self: [{own}]\n  servers:"));
    assert!(text.contains("self:"), "{text}");
    lab.write("web.yaml", &text).display().to_string()
}

#[test]
fn a_server_that_presurge_stands_on_serves_on_and_is_named() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(3, 20);
    let ends = |code: i32, args: &[&str]| {
        let output = lab.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    };
    let (_, said) = ends(65, &["validate", &written(&lab, "web-22")]);
    assert!(said.contains("spec.self[0]: \"web-22\" is no server of this fleet"), "{said}");
    let (out, _) = ends(3, &["plan", "-o", "json", &written(&lab, "web-1, web-2, web-3")]);
    let refused: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(refused["refused"]["binding"], "self", "{out}");

    let file = written(&lab, "web-2");
    let (out, said) = ends(0, &["plan", "-o", "json", &file]);
    assert!(said.contains("web-2 of fleet web stays in service and is not updated"), "{said}");
    let plan: Value = serde_json::from_str(&out).unwrap();
    let batches = plan["batches"].as_array().unwrap().iter();
    let out: BTreeSet<&str> = batches
        .flat_map(|batch| batch["servers"].as_array().unwrap())
        .map(|server| server.as_str().unwrap())
        .collect();
    assert_eq!(out, BTreeSet::from(["web-1", "web-3"]));

    ends(0, &["apply", "--yes", "--tick", "200ms", &file]);
    let updates = lab.updates("2");
    let expected = [("web-1", 1), ("web-2", 0), ("web-3", 1)].map(|(n, c)| (n.to_owned(), c));
    assert_eq!(updates, expected);
    let (journal, _) = ends(0, &["audit", "export", "roll"]);
    let touched = journal.lines().filter(|line| line.contains("\"server\":\"web-2\""));
    assert_eq!(touched.count(), 0, "{journal}");
}
