//! Failures, roll-back, signals, learned capacity, hooks and approval; and what is not built yet.

use super::*;

#[test]
fn probabilities_of_failure_are_below_one_and_have_their_place() {
    let max = "        max: 40\n";
    says(
        max,
        &format!("{max}        bootFailure: 1\n"),
        "f.yaml:21:22: spec.surge.offers[0].bootFailure: expected a probability from 0 to below 1, \
         found 1",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  updateFailure: -0.1",
        "f.yaml:27:18: spec.updateFailure: expected a probability from 0 to below 1, found -0.1",
    );
}

#[test]
fn what_cannot_be_undone_is_not_to_be_rolled_back() {
    let why =
        "is rollback, but spec.reversible is false: what cannot be undone is never rolled back";
    for (asked, place, instead) in [
        ("onFailure: rollback", "28:14: spec.onFailure", "hold"),
        ("hold: { then: rollback }", "28:17: spec.hold.then", "page or abort"),
    ] {
        let to = format!("fleets: [web]\n  reversible: false\n  {asked}");
        let says_so = format!("f.yaml:{place}: {why}; write {instead} here, or reversible: true");
        says("fleets: [web]", &to, &says_so);
    }
}

#[test]
fn signals_are_checked_where_they_stand() {
    let from = "        max: 40\n";
    for (signals, why) in [
        (
            "[ { icla: { path: x.ics } } ]",
            "21:16: spec.signals[0].icla: unknown field; did you mean \"ical\"?",
        ),
        ("[ {} ]", "21:14: spec.signals[0]: names no signal; add one of: ical, holidays, csv"),
        (
            "[ { ical: { path: x.ics }, csv: { path: y.csv } } ]",
            "names both csv and ical; keep one",
        ),
        ("[ { ical: { file: x.ics } } ]", "spec.signals[0].ical.file: unknown field"),
        ("[ { csv: { path: y.csv, knwon: [price] } } ]", "did you mean \"known\"?"),
        (
            "[ { holidays: { countries: [DE, XX] } } ]",
            "spec.signals[0].holidays.countries: the holidays of \"XX\" are not known; the countries are AR",
        ),
        (
            "[ { holidays: { countries: [] } } ]",
            "spec.signals[0].holidays.countries: name one at least",
        ),
        ("[ { holidays: { countries: [DE, de] } } ]", "\"de\" stands there twice"),
        (
            "[ { feed: { url: x } } ]",
            "\"feed\" is not supported yet (there are: ical, holidays, csv)",
        ),
    ] {
        let error = loaded(&with(from, &format!("{from}  signals: {signals}\n"))).map(|_| ());
        let error = error.expect_err(signals);
        assert!(error.contains(why), "{signals}\n{error}");
    }
    let good = "[ { ical: { path: x.ics } }, { csv: { path: y.csv, known: [price] } } ]";
    let documents = loaded(&with(from, &format!("{from}  signals: {good}\n")));
    let documents = documents.unwrap_or_else(|error| panic!("{error}"));
    let fleet = &documents.fleets.values().next().unwrap().fleet;
    let names: Vec<&str> = fleet.signals.iter().map(|entry| entry.adapter.as_str()).collect();
    assert_eq!(names, ["ical", "csv"]);
}

#[test]
fn capacity_is_learned_from_an_objective_that_is_whole() {
    let from = "  capacity: { requests: 850 }\n  load:";
    let learned = |slo: &str, expected: &str| {
        says(from, &format!("  capacity: {{ requests: learn }}\n{slo}  load:"), expected);
    };
    learned(
        "",
        "f.yaml:6:25: spec.capacity.requests: is learned from an objective, and spec.slo has",
    );
    let csv = "csv: { path: p99.csv }";
    for (fields, expected) in [
        (csv.to_owned(), "f.yaml:7:10: spec.slo.requests: does not say up to what it is kept; add"),
        (
            format!("{csv}, most: 0"),
            "f.yaml:7:52: spec.slo.requests.most: expected a number above 0",
        ),
        (format!("{csv}, most: 1, is: speed"), "f.yaml:7:59: spec.slo.requests.is: "),
        (
            format!("{csv}, most: 1, inService: {{ cvs: {{ path: x.csv }} }}"),
            "f.yaml:7:68: spec.slo.requests.inService.cvs: unknown field; did you mean \"csv\"?",
        ),
    ] {
        learned(&format!("  slo: {{ requests: {{ {fields} }} }}\n"), expected);
    }
    let to = format!(
        "  capacity: {{ requests: 850 }}\n  slo: {{ requests: {{ {csv}, most: 1 }} }}\n  load:"
    );
    says(from, &to, "f.yaml:7:10: spec.slo.requests: spec.capacity.requests is not learned");
    let good = format!("  capacity: learn\n  slo: {{ requests: {{ {csv}, most: 1 }} }}\n  load:");
    let documents = loaded(&with(from, &good)).unwrap();
    let fleet = &documents.fleet(documents.rollout(None).unwrap().rollout()).fleet;
    assert_eq!((fleet.objectives.len(), fleet.load.len()), (1, 1));
}

#[test]
fn what_is_not_built_yet_is_refused_with_its_place() {
    let fleet = |to: &str, place: &str| {
        let to = format!("  load:\n    requests:\n      csv: {{ path: load.csv }}\n{to}");
        says("  load:\n    requests:\n      csv: { path: load.csv }\n", &to, place);
    };
    fleet(
        "      inService: up\n      measure: utilisation\n",
        "f.yaml:11:16: spec.load.requests.measure: load as utilisation is not supported yet",
    );
    for (size, why) in [
        (
            "{ asg: {} }",
            "21:11: spec.size.asg: \"asg\" is not supported yet (there are: exec, suspend)",
        ),
        ("{ hpa: {} }", "21:11: spec.size.hpa: \"hpa\" is not supported yet"),
        ("{ exce: {} }", "21:11: spec.size.exce: unknown field; did you mean \"exec\"?"),
        ("{ exec: { observe: [./o] } }", "21:11: spec.size.exec: the field \"ensure\" is missing"),
        ("{ exec: { observe: [], ensure: [./e] } }", "name a program"),
        ("{ suspend: [AZRebalance] }", "spec.size.suspend: names processes, and spec.size has no"),
        (
            "{ exec: { observe: [./o], ensure: [./e] }, suspend: [a, a] }",
            "spec.size.suspend[1]: a stands there twice",
        ),
        (
            "{ exec: { observe: [./o], ensure: [./e] }, suspend: [\"a b\"] }",
            "spec.size.suspend[0]: expected the name of a process, without blanks",
        ),
    ] {
        let from = "        max: 40\n";
        let error = loaded(&with(from, &format!("{from}  size: {size}\n"))).map(|_| ());
        let error = error.expect_err(size);
        assert!(error.contains(why), "{size}\n{error}");
    }
    for (to, place) in [
        ("spanWindows: true", "27:16: spec.spanWindows"),
        ("stabilisation: { min: 1m, untilLoad: 80% }", "27:40: spec.stabilisation.untilLoad"),
        ("freezes: [ { promql: x } ]", "27:24: spec.freezes[0].promql"),
    ] {
        let error = loaded(&with("fleets: [web]", &format!("fleets: [web]\n  {to}")));
        let error = error.map(|_| ()).expect_err(to);
        assert!(error.starts_with(&format!("f.yaml:{place}: ")), "{to}\n{error}");
        assert!(error.contains("is not supported yet; "), "{error}");
        assert_eq!(error.matches("f.yaml:").count(), 1, "{error}");
    }
    says(
        "fleets: [web]",
        "fleets: [web, web]",
        "f.yaml:26:17: spec.fleets[1]: names the fleet \"web\" twice",
    );
    says(
        "csv: {",
        "cloudwatch: {",
        "f.yaml:9:7: spec.load.requests.cloudwatch: \"cloudwatch\" is not supported yet (there are: csv, prometheus,",
    );
    says(
        "http: { url: \"http://{address}/health\" }",
        "promql: { url: \"http://prometheus:9090\", query: up }",
        "f.yaml:29:55: spec.gates[0].promql.query: nothing says which values pass; give atLeast, atMost, or both",
    );
    says(
        "  capacity: { requests: 850 }\n  load",
        "  capacity: { requests: { value: 850, base: 5 } }\n  load",
        "f.yaml:6:45: spec.capacity.requests.base: a base load is not supported yet",
    );
    says(
        "  surge:\n",
        "  surge:\n    version: new\n",
        "f.yaml:15:14: spec.surge.version: surge that runs the new version is not supported yet",
    );
    says(
        "  surge:\n",
        "  surge:\n    adopt: true\n",
        "f.yaml:15:12: spec.surge.adopt: adopting surge is not supported yet",
    );
}

#[test]
fn hooks_and_approval_that_make_no_sense_are_named() {
    for (line, expected) in [
        ("hooks: { before: {} }", "spec.hooks.before: names no hook"),
        ("hooks: { befor: {} }", "did you mean \"before\"?"),
        ("hooks: { before: { exec: { command: [\"{server}\"] } } }", "{server} is not known"),
        ("hooks: { before: { exec: { comand: [x] } } }", "did you mean \"command\"?"),
        (
            "hooks: { after: { http: {} } }",
            "\"http\" is not supported yet (there are: exec, timeout)",
        ),
        (
            "hooks: { after: { exec: { command: [x] }, timeout: 1500ms } }",
            "spec.hooks.after.timeout: expected whole seconds, found 1s500ms",
        ),
        ("approval: { by: [ann] }", "spec.approval.by: says who may agree, and nobody has to"),
        (
            "approval: { required: true, by: [ann, \"\"] }",
            "spec.approval.by[1]: expected a login name, found \"\"",
        ),
        (
            "approval: { required: true, by: [ann, ann] }",
            "spec.approval.by[1]: names \"ann\" twice",
        ),
    ] {
        let error = loaded(&with("fleets: [web]", &format!("fleets: [web]\n  {line}")));
        let error = error.map(|_| ()).expect_err(line);
        assert!(error.contains(expected) && error.starts_with("f.yaml:27:"), "{line}\n{error}");
    }
}
