use super::*;
use crate::journal::Entry;
use crate::name::OfferName;

fn fleet() -> FleetName {
    FleetName::new("web").unwrap()
}

fn chain(events: &[Event]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for event in events {
        let entry = Entry {
            at: Timestamp::UNIX_EPOCH,
            actor: Actor("planner".into()),
            cause: None,
            reason: "it was seen".into(),
            inputs: None,
            event: event.clone(),
        };
        let head = records.last().map_or_else(Head::empty, Record::head);
        records.push(Record::chain(&Learned::chain(), &head, entry));
    }
    records
}

fn folded(events: &[Event]) -> Result<Learned, BadLessons> {
    let mut learned = Learned::default();
    chain(events).iter().try_for_each(|record| learned.take(record))?;
    Ok(learned)
}

fn figure(text: &str) -> Figure {
    text.parse().unwrap()
}

fn adjusted(what: &str, after: &str) -> Event {
    Event::Adjusted {
        fleet: fleet(),
        quantity: what.parse().unwrap(),
        before: figure("5m"),
        after: figure(after),
        evidence: Evidence { rollouts: 3, seen: 40.0, of_which: 2.0 },
    }
}

fn pin(what: &str, figure: Option<Figure>) -> Event {
    Event::PinRequested { fleet: fleet(), quantity: what.parse().unwrap(), figure }
}

#[test]
fn a_pin_goes_before_what_is_learned_until_it_is_taken_back() {
    let update = Quantity::Update;
    let mut events = vec![adjusted("update", "6m..9m"), adjusted("lead:spot", "2m")];
    let learned = folded(&events).unwrap().of(&fleet());
    assert_eq!(learned.figures()[&update], figure("6m..9m"));
    assert_eq!(learned.figures().len(), 2);
    events.push(pin("update", Some(figure("4m"))));
    events.push(adjusted("update", "7m..9m"));
    assert_eq!(folded(&events).unwrap().of(&fleet()).figures()[&update], figure("4m"));
    events.push(pin("update", None));
    assert_eq!(folded(&events).unwrap().of(&fleet()).figures().get(&update), None);
    events.push(Event::UnpinRequested { fleet: fleet(), quantity: update.clone() });
    assert_eq!(folded(&events).unwrap().of(&fleet()).figures()[&update], figure("7m..9m"));
    let other = FleetName::new("other").unwrap();
    assert!(folded(&events).unwrap().of(&other).figures().is_empty());
}

#[test]
fn what_is_none_of_its_quantity_is_refused_with_its_number() {
    for (what, value) in [
        ("update", "0.5"),
        ("fulfilment:spot", "0"),
        ("fulfilment:spot", "1.5"),
        ("bootFailure:spot", "1"),
        ("interruption:spot", "-0.1"),
        ("updateFailure", "5m"),
    ] {
        let events = [adjusted("drain", "1m"), pin(what, Some(figure(value)))];
        let error = folded(&events).unwrap_err();
        assert!(matches!(error, BadLessons::Figure { seq: 2, .. }), "{what} {value}: {error}");
    }
    let error = folded(&[Event::PauseRequested {}]).unwrap_err();
    assert!(matches!(error, BadLessons::Foreign { seq: 1, .. }), "{error}");
}

#[test]
fn a_chain_that_was_changed_is_not_believed() {
    let mut records = chain(&[adjusted("update", "6m"), adjusted("update", "7m")]);
    records[1].payload["after"]["p50Seconds"] = 60.0.into();
    let mut learned = Learned::default();
    learned.take(&records[0]).unwrap();
    let before = learned.clone();
    assert!(matches!(learned.take(&records[1]), Err(BadLessons::Broken(Broken { seq: 2, .. }))));
    assert_eq!(learned, before);
}

#[test]
fn figures_and_quantities_are_read_as_they_are_written() {
    for text in [
        "drain",
        "update",
        "verify",
        "updateFailure",
        "lead:a",
        "interruption:m6i-spot",
        "capacity:requests",
        "drain@14",
        "update@03",
        "lead:m6i-spot@00",
        "lead:m6i@eu",
        "interruption:m6i@eu-1",
    ] {
        assert_eq!(text.parse::<Quantity>().unwrap().to_string(), text);
    }
    assert_eq!("fulfilment:x".parse(), Ok(Quantity::Fulfilment(OfferName::new("x").unwrap())));
    for text in ["", "Drain", "lead", "lead:", "drain:spot", "boot:x"] {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
    assert_eq!(figure("5m..9m").to_string(), "5m..9m");
    assert_eq!(figure("90s").to_string(), "1m30s");
    assert_eq!(figure("0.05"), Figure::probability(0.05));
    for text in ["", "9m..5m", "0s..5m", "nan", "inf", "5", "5m..", "five"] {
        let read = text.parse::<Figure>();
        let odd = read.map(|figure| Quantity::Update.check(figure));
        assert!(!matches!(odd, Ok(Ok(()))), "{text}: {odd:?}");
    }
    let json = serde_json::to_value(figure("5m..9m")).unwrap();
    assert_eq!(json, serde_json::json!({ "p50Seconds": 300.0, "p95Seconds": 540.0 }));
    assert_eq!(serde_json::from_value::<Figure>(json).unwrap(), figure("5m..9m"));
}

#[test]
fn a_capacity_is_an_amount_and_nothing_else_is() {
    let (capacity, update) = ("capacity:cpu".parse::<Quantity>().unwrap(), Quantity::Update);
    assert_eq!(capacity.read("850"), Ok(Figure::Amount { p05: 850.0, p50: 850.0 }));
    let between = capacity.read("800..850").unwrap();
    assert_eq!(between.to_string(), "800.0000..850.0000");
    let json = serde_json::to_value(between).unwrap();
    assert_eq!(json, serde_json::json!({ "p05": 800.0, "p50": 850.0 }));
    assert_eq!(serde_json::from_value::<Figure>(json).unwrap(), between);
    for text in ["0", "-5", "nan", "inf", "850..800", "5m", "", "..", "1..x"] {
        assert!(capacity.read(text).is_err(), "{text}");
    }
    assert!(update.read("850..900").is_err());
    assert!(update.check(between).is_err() && capacity.check(figure("5m")).is_err());
    assert!(update.read("5m..9m").is_ok());
}

#[test]
fn an_hour_is_named_behind_an_at() {
    let hour = crate::hour::Hour::new(3).unwrap();
    assert_eq!("update@03".parse(), Ok(Quantity::At(Hourly::Update, hour)));
    assert_eq!("warmup@03".parse(), Ok(Quantity::At(Hourly::Warmup, hour)));
    let lead = Hourly::Lead(OfferName::new("m6i-spot").unwrap());
    assert_eq!("lead:m6i-spot@03".parse(), Ok(Quantity::At(lead, hour)));
    for (text, says) in [
        ("update@3", "no hour of the day; write 00 to 23, UTC, such as update@03"),
        ("update@24", "no hour of the day"),
        ("update@", "no hour of the day"),
        ("update@night", "no hour of the day"),
        ("lead:spot@24", "no hour of the day"),
        (
            "verify@03",
            "verify has no figures by the hour: drain, update, warmup and lead:OFFER have",
        ),
        ("updateFailure@03", "has no figures by the hour"),
        ("capacity:requests@03", "has no figures by the hour"),
        ("update@03@04", "update@03 has no figures by the hour"),
        ("boot@03", "is nothing that is learned: drain, update"),
    ] {
        let error = text.parse::<Quantity>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    // What was stored before there were hours keeps loading.
    for text in ["lead:spot@24", "fulfilment:spot@03", "capacity:requests@03"] {
        let stored: Quantity = serde_json::from_value(text.into()).unwrap();
        assert_eq!(serde_json::to_value(&stored).unwrap(), text);
    }
    let at: Quantity = "drain@14".parse().unwrap();
    assert!(at.read("5m..9m").is_ok() && at.read("0.5").is_err());
    assert_eq!((at.of_day(), at.hourly(), at.offer()), (Some(Quantity::Drain), None, None));
}

#[test]
fn a_pin_of_an_hour_goes_before_one_of_the_day_and_both_before_what_is_learned() {
    let (hour, other): (Quantity, Quantity) =
        ("update@03".parse().unwrap(), "update@04".parse().unwrap());
    let mut events = vec![
        adjusted("update", "6m..9m"),
        adjusted("update@03", "9m"),
        adjusted("update@04", "8m"),
    ];
    let figures = |events: &[Event]| folded(events).unwrap().of(&fleet()).figures();
    assert_eq!((figures(&events)[&hour], figures(&events).len()), (figure("9m"), 3));
    // The whole day is fixed: no hour that was learned stands against it.
    events.push(pin("update", Some(figure("4m"))));
    assert_eq!(figures(&events), [(Quantity::Update, figure("4m"))].into());
    events.push(pin("update@03", Some(figure("7m"))));
    assert_eq!(
        figures(&events),
        [(Quantity::Update, figure("4m")), (hour.clone(), figure("7m"))].into()
    );
    // Without that of the day the other hours go by what is learned again.
    events.push(Event::UnpinRequested { fleet: fleet(), quantity: Quantity::Update });
    assert_eq!((figures(&events)[&hour], figures(&events)[&other]), (figure("7m"), figure("8m")));
    // Pinned to the configuration, an hour goes by the whole day.
    events.push(pin("update@03", None));
    assert_eq!(figures(&events).get(&hour), None);
    assert_eq!(figures(&events)[&Quantity::Update], figure("6m..9m"));
}

#[test]
fn an_hour_that_is_adjusted_to_the_day_has_no_figure_of_its_own() {
    let hour: Quantity = "update@03".parse().unwrap();
    let mut events = vec![adjusted("update", "6m..9m"), adjusted("update@03", "9m")];
    assert!(folded(&events).unwrap().of(&fleet()).learned.contains_key(&hour));
    events.push(adjusted("update@03", "6m..9m"));
    events.push(adjusted("update", "8m"));
    let lessons = folded(&events).unwrap().of(&fleet());
    assert_eq!(lessons.figures(), [(Quantity::Update, figure("8m"))].into());
}
