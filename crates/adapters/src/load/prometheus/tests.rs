use std::time::Duration;

use super::*;
use crate::clock::SystemClock;

mod hostile;
mod real;

fn config(url: impl Into<String>) -> PrometheusConfig {
    PrometheusConfig {
        url: url.into(),
        query: "load".into(),
        step: default_step(),
        timeout: "500ms".parse().unwrap(),
        bearer_token_file: None,
        tenant: None,
    }
}

/// A clock that stands.
struct Stopped(Timestamp);

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
    async fn sleep_until(&self, _: Timestamp) {}
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let new = |config| {
        let clock = Arc::new(SystemClock);
        PrometheusLoad::new(config, Path::new("/"), clock).map_err(|error| error.chain())
    };
    let good = new(config("https://metrics.example/prometheus/")).unwrap();
    assert_eq!(
        good.server.endpoint.as_str(),
        "https://metrics.example/prometheus/api/v1/query_range"
    );
    assert_eq!(good.server.name, "prometheus at https://metrics.example/prometheus");
    for (url, expected) in [
        ("prometheus:9090", "begins with neither"),
        ("9090", "write for instance http://prometheus:9090"),
        ("http://x:9090/api/v1", "without /api/v1"),
        ("http://x:9090?q", "without /api/v1"),
        ("http://me:secret@x:9090", "use bearerTokenFile"),
    ] {
        let error = new(config(url)).err().expect(url);
        assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
    }
    let wrong = |change: fn(&mut PrometheusConfig)| {
        let mut config = config("http://x");
        change(&mut config);
        new(config).err().unwrap()
    };
    assert!(wrong(|config| config.query = " ".into()).contains("query: is empty"));
    assert!(wrong(|config| config.step = "1500ms".parse().unwrap()).contains("whole seconds"));
    assert!(wrong(|config| config.tenant = Some("a\nb".into())).contains("tenant"));
    assert!(serde_json::from_str::<PrometheusConfig>(r#"{"url":"x","querry":"y"}"#).is_err());
}

#[test]
fn only_intervals_that_are_over_are_asked_for() {
    let load = |now| {
        let clock = Arc::new(Stopped(now));
        PrometheusLoad::new(config("http://x"), Path::new("/"), clock).unwrap()
    };
    let grid = |from, to, now| load(now).grid(from, to).unwrap();
    // The sample of [600, 660) is the value of the query at 660.
    assert_eq!(grid(at(600), at(720), at(10_000)), Some((660, 720)));
    assert_eq!(grid(at(599), at(721), at(10_000)), Some((660, 780)));
    assert_eq!(grid(at(601), at(720), at(10_000)), Some((720, 720)));
    assert_eq!(grid(at(601), at(660), at(10_000)), None);
    assert_eq!(grid(at(600), at(10_000), at(719)), Some((660, 660)));
    assert_eq!(grid(at(600), at(10_000), at(720)), Some((660, 720)));
    assert_eq!(grid(at(600), at(10_000), at(659)), None);
    assert_eq!(grid(at(-120), at(0), at(10_000)), Some((-60, 0)));
    let just_after = at(600) + Duration::from_nanos(1);
    assert_eq!(grid(just_after, at(700), at(10_000)), Some((720, 720)));
    let error = load(Timestamp::MAX).grid(Timestamp::MIN, Timestamp::MAX).unwrap_err();
    assert!(error.reason.contains("raise step"), "{}", error.reason);
}
