//! Quotas, limits by zone, windows, freezes and losses: what bounds a plan.

use super::*;

#[test]
fn quotas_that_make_no_sense_are_named_with_their_place() {
    let quota = |quota: &str, expected: &str| {
        says("  surge:\n", &format!("  surge:\n    quotas: [ {quota} ]\n"), expected);
    };
    quota(
        "{ name: vcpu, limit: 9, per: { od: 4, pod: 2 } }",
        "f.yaml:15:58: spec.surge.quotas[0].per.pod: there is no offer pod; did you mean \"od\"? (there are: od)",
    );
    quota(
        "{ name: vcpu, limit: 9, used: 10, per: { od: 4 } }",
        "f.yaml:15:45: spec.surge.quotas[0].used: is 10, more than the limit of 9",
    );
    quota(
        "{ name: vcpu, limit: -9, per: { od: 4 } }",
        "f.yaml:15:36: spec.surge.quotas[0].limit: ",
    );
    quota(
        "{ name: vcpu, limit: 9, per: {} }",
        "f.yaml:15:39: spec.surge.quotas[0].per: limits no offer",
    );
    quota(
        "{ name: a, limit: 9, per: { od: 1 } }, { name: a, limit: 9, per: { od: 2 } }",
        "f.yaml:15:62: spec.surge.quotas[1].name: the quota \"a\" is there twice",
    );
    let good =
        with("  surge:\n", "  surge:\n    quotas: [ { name: v, limit: 9, per: { od: 4 } } ]\n");
    let documents = loaded(&good).unwrap();
    let fleet = &documents.fleet(documents.rollout(None).unwrap().rollout()).fleet;
    assert_eq!((fleet.quotas[0].limit, fleet.quotas[0].used), (9.0, 0.0));
}

#[test]
fn limits_by_zone_know_where_each_server_stands() {
    let limit = "fleets: [web]\n  batch: { limits: [ { by: zone, maxUnavailable: 25% } ] }";
    says(
        "fleets: [web]",
        limit,
        "f.yaml:27:28: spec.batch.limits[0].by: needs to know where each server stands; give web-1",
    );
    let servers = "static: { servers: [ { name: a-1, zone: a }, { name: a-2, zone: a }, { name: b-1, zone: b } ] }";
    let zoned = |rollout: &str| {
        let text = with("fleets: [web]", rollout);
        loaded(&text.replace("static: { prefix: web, count: 4 }", servers))
    };
    let error = zoned(limit).map(|_| ()).unwrap_err();
    assert!(
        error.starts_with(
            "f.yaml:27:50: spec.batch.limits[0].maxUnavailable: 25% of the 2 servers in zone a \
             rounds down to none"
        ),
        "{error}"
    );
    let one = "fleets: [web]\n  batch: { limits: [ { by: zone, maxUnavailable: 1 } ] }";
    let documents = zoned(one).unwrap();
    let limits = &documents.rollout(None).unwrap().rollout().zone_limits;
    assert_eq!(limits.values().copied().collect::<Vec<_>>(), [1, 1]);
    let given = format!("{one}\n  schedule: {{ batches: [ [a-1, a-2], [b-1] ] }}");
    let error = zoned(&given).map(|_| ()).unwrap_err();
    assert!(error.contains("spec.schedule.batches[0]: takes out 2 "), "{error}");
}

#[test]
fn windows_and_freezes_by_rule_and_by_file() {
    let rollout = |line: &str, expected: &str| {
        says("fleets: [web]", &format!("fleets: [web]\n  {line}"), expected);
    };
    rollout(
        "windows: [ { rrule: FREQ=HOURLY, duration: 1h } ]",
        "f.yaml:27:23: spec.windows[0].rrule: FREQ=HOURLY; use DAILY, WEEKLY, MONTHLY or YEARLY",
    );
    rollout(
        "windows: [ { rrule: FREQ=DAILY } ]",
        "f.yaml:27:14: spec.windows[0]: does not say how long it lasts; add duration: 4h",
    );
    rollout(
        "windows: [ { rrule: FREQ=DAILY, duration: 1h, start: \"02:00\" } ]",
        "f.yaml:27:56: spec.windows[0].start: does not go with rrule and duration",
    );
    rollout(
        "windows: [ { rrule: FREQ=DAILY, duration: 1h, timezone: Europe/Berln } ]",
        "f.yaml:27:59: spec.windows[0].timezone: \"Europe/Berln\" is not a time zone",
    );
    rollout(
        "freezes: [ { ical: x.ics, rrule: FREQ=DAILY, duration: 1h } ]",
        "f.yaml:27:14: spec.freezes[0]: expected one of { from: …, to: … }",
    );
    rollout(
        "freezes: [ { from: \"2026-01-02T00:00:00Z\", to: \"2026-01-01T00:00:00Z\" } ]",
        "f.yaml:27:14: spec.freezes[0]: 2026-01-02T00:00:00Z is not before",
    );
    let text = "fleets: [web]\n  windows: [ { rrule: FREQ=DAILY;BYHOUR=2, duration: 4h, timezone: Europe/Berlin } ]\n  \
                freezes: [ { rrule: FREQ=WEEKLY;BYDAY=FR, duration: 24h }, { ical: { path: x.ics } } ]";
    let documents = loaded(&with("fleets: [web]", text)).unwrap();
    let rollout = &documents.rollout(None).unwrap().rollout();
    assert_eq!(rollout.freeze_files[0].path, "x.ics");
    // Thursday and Saturday night, without the Friday; Berlin is an hour ahead in winter.
    let (from, to) = ("2026-01-08T00:00:00Z", "2026-01-10T12:00:00Z");
    let open = rollout.calendar.allowed(from.parse().unwrap(), to.parse().unwrap());
    let open: Vec<String> = open.iter().map(|interval| interval.to_string()).collect();
    let nights = [
        "2026-01-08T01:00:00Z to 2026-01-08T05:00:00Z",
        "2026-01-10T01:00:00Z to 2026-01-10T05:00:00Z",
    ];
    assert_eq!(open, nights);
}

#[test]
fn losses_that_cannot_be_survived_are_refused() {
    says(
        "fleets: [web]",
        "fleets: [web]\n  survive: { servers: 4 }",
        "f.yaml:27:23: spec.survive.servers: is 4, but the fleet has 4",
    );
    says(
        "fleets: [web]",
        "fleets: [web]\n  survive: { zones: 1 }",
        "f.yaml:27:21: spec.survive.zones: needs to know where each server stands; give web-1 a zone",
    );
    let one = loaded(&with("fleets: [web]", "fleets: [web]\n  survive: { servers: 1 }")).unwrap();
    assert_eq!(one.rollout(None).unwrap().rollout().survive.servers, 1);
}

#[test]
fn a_failure_budget_leaves_a_server_of_the_fleet() {
    says(
        "fleets: [web]",
        "fleets: [web]\n  failureBudget: 4",
        "f.yaml:27:18: spec.failureBudget: is 4, but the fleet has 4; write less than that",
    );
    let one = loaded(&with("fleets: [web]", "fleets: [web]\n  failureBudget: 3")).unwrap();
    assert_eq!(one.rollout(None).unwrap().rollout().failure_budget, 3);
}
