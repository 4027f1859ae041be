//! `presurge models`: finished rollouts of real processes teach how long things take, plans are made
//! with it, and people can fix a figure.

mod lab;

use std::fs;

use domain::event::Event;
use domain::journal::Record;
use domain::learned::Quantity;
use lab::{Lab, configuration, has};
use serde_json::Value;

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(text)))
}

/// The row of one quantity.
fn row(lab: &Lab, quantity: &str) -> Option<Value> {
    let out = lab.run(&["models", "-o", "json"]);
    let rows = json(&out.stdout);
    rows.as_array().unwrap().iter().find(|row| row["quantity"] == quantity).cloned()
}

#[test]
fn rollouts_teach_plans_take_it_and_people_fix_it() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(2, 20);
    let load = lab.write_history(8.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    // Far from what this machine does: the command that updates takes less than a second.
    let rollout = |name: &str, version: &str| {
        let text = configuration(&lab, name, version, &load, "  risk: 0.01\n");
        let text = text.replace("update: { p50: 1s, p95: 2s }", "update: 6s");
        lab.write(&format!("{name}.yaml"), &text).display().to_string()
    };
    let (first, second) = (rollout("first", "2"), rollout("second", "3"));
    assert_eq!(row(&lab, "update"), None);

    let (code, said) = lab.says(&["apply", "--yes", "--tick", "200ms", &first]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("learned of fleet web: update is"), "{said}");
    let learned = row(&lab, "update").expect("the update was learned");
    assert!(learned["from"].as_str().unwrap().starts_with("2+0 in 1 rollouts"), "{learned}");

    let adjusted = |record: &Record| match record.event() {
        Ok(Event::Adjusted { quantity: Quantity::Update, before, after, .. }) => {
            Some([before, after].map(|figure| figure.to_string()))
        }
        _ => None,
    };
    let written = lab.records("presurge#learned").iter().find_map(adjusted).unwrap();
    assert_eq!(written, ["6s", learned["inForce"].as_str().unwrap()], "from what, and to what");

    // Plans are made with it, and say so.
    let plan = lab.path("plan.json").display().to_string();
    let (code, said) = lab.says(&["plan", &second, "--out", &plan]);
    assert!(code == Some(0) && said.contains("by what was learned or pinned:"), "{said}");
    let made = json(&fs::read(&plan).unwrap());
    let p50 = made["inputs"]["learned"]["web"]["update"]["p50Seconds"].as_f64().unwrap();
    assert!(p50 > 0.0 && p50 < 5.0, "{made}");
    let (code, said) = lab.says(&["explain", &plan, "--config", &second]);
    assert_eq!(code, Some(0), "{said}");

    // A person goes first, and what was planned before does not hold any more.
    // A figure that is not learned here by chance, however slow the machine is.
    let fixed = "13s..29s";
    let pin = ["models", "pin", "web", "update", fixed, "--reason", "a new kernel"];
    let (code, said) = lab.says(&pin);
    assert!(code == Some(0) && said.contains(fixed), "{said}");
    let (code, said) = lab.says(&["apply", "--yes", &plan, "--config", &second]);
    assert!(code == Some(3) && said.contains("what is learned of fleet web has changed"), "{said}");

    let (code, said) = lab.says(&["apply", "--yes", "--tick", "200ms", &second]);
    assert_eq!(code, Some(0), "{said}");
    let records = lab.records("second#1");
    let Ok(Event::RolloutCreated(created)) = records[0].event() else { panic!("no beginning") };
    let frozen = created.learned.iter().find(|(what, _)| what.to_string() == "update").unwrap();
    assert_eq!(frozen.1.to_string(), fixed);
    let kept = row(&lab, "update").unwrap();
    assert_eq!(kept["inForce"], fixed);
    assert!(kept["pinned"].as_str().unwrap().ends_with(": a new kernel"), "{kept}");

    // The first plan comes out again, though the figures are others by now.
    let unpin = ["models", "unpin", "web", "update", "--reason", "it is known by now"];
    assert_eq!(lab.says(&unpin).0, Some(0));
    assert_ne!(row(&lab, "update").unwrap()["inForce"], fixed);
    let (code, said) = lab.says(&["audit", "replay", "second", "2", "--config", &second]);
    assert!(code == Some(0) && said.contains("the same plan, to the last digit"), "{said}");

    // Its chain is a journal as any other, and no rollout.
    let (code, said) = lab.says(&["audit", "verify", "presurge#learned"]);
    assert_eq!(code, Some(0), "{said}");
    let shown = lab.run(&["audit", "show", "presurge#learned"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("PinRequested") && shown.contains("Adjusted"), "{shown}");
    let listed = lab.run(&["rollout", "list", "-o", "json"]);
    assert_eq!(json(&listed.stdout).as_array().unwrap().len(), 2);

    // Who forecasts, and how well.
    let out = lab.run(&["models", &second, "-o", "json"]);
    let forecast = &json(&out.stdout)[0]["forecast"]["requests"];
    assert!(forecast["leader"].is_string(), "{forecast}");
    let inside = forecast["scored"][0]["inside95"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&inside), "{forecast}");
}

#[test]
fn what_cannot_be_fixed_is_refused_and_nothing_is_written() {
    if !has("haproxy") {
        return;
    }
    let lab = Lab::new(1, 20);
    let pin = |quantity: &str, value: &str| {
        lab.says(&["models", "pin", "web", quantity, value, "--reason", "a test"])
    };
    for (quantity, value, said) in [
        ("update", "0.5", "length of time"),
        ("updateFailure", "5m", "probability"),
        ("fulfilment:spot", "0", "outside"),
        ("update", "9m..5m", "p50"),
        ("update", "soon", "neither a length of time"),
        ("boot", "5m", "nothing that is learned"),
        ("update@24", "5m", "no hour of the day"),
        ("verify@03", "5m", "no figures by the hour"),
        ("update@03", "0.5", "length of time"),
    ] {
        let (code, text) = pin(quantity, value);
        assert!(code == Some(64) && text.contains(said), "{quantity} {value}: {text}");
    }
    assert_eq!(lab.says(&["models", "pin", "web", "update", "5m"]).0, Some(64));
    let (code, said) = lab.says(&["models", "unpin", "web", "update", "--reason", "a test"]);
    assert!(code == Some(0) && said.contains("is not pinned; nothing was written"), "{said}");
    let (code, said) = lab.says(&["models"]);
    assert!(code == Some(0) && said.contains("nothing was learned yet"), "{said}");
    assert_eq!(pin("lead:m6i-spot", "configured").0, Some(0));
    assert_eq!(pin("update", "4m").0, Some(0));
    assert_eq!(pin("update@03", "5m..9m").0, Some(0));
    assert_eq!(row(&lab, "update@03").unwrap()["inForce"], "5m..9m");
    assert_eq!(pin("update@03", "configured").0, Some(0));
    assert_eq!(row(&lab, "update@03").unwrap()["inForce"], "4m");
}
