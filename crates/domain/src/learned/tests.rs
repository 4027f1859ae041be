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
